//! The part of KQL that the Kibana pack uses, as far as fields go: may a query be true of documents that lack some?

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// `field: *`.
    Exists(String),
    /// The field compared with some value.
    Compares(String),
}

impl Query {
    /// `None` for what the pack does not use, such as free text. No text is the query of everything.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Some(Self::And(Vec::new()));
        }
        let mut parser = Parser {
            tokens: &tokens,
            position: 0,
        };
        let query = parser.or()?;
        (parser.position == tokens.len()).then_some(query)
    }

    /// Whether it may be true of a document that has these fields only.
    pub(super) fn may_be_true(&self, has: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::And(all) => all.iter().all(|query| query.may_be_true(has)),
            Self::Or(some) => some.iter().any(|query| query.may_be_true(has)),
            Self::Not(query) => query.may_be_false(has),
            Self::Exists(field) | Self::Compares(field) => has(field),
        }
    }

    fn may_be_false(&self, has: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::And(all) => all.iter().any(|query| query.may_be_false(has)),
            Self::Or(some) => some.iter().all(|query| query.may_be_false(has)),
            Self::Not(query) => query.may_be_true(has),
            Self::Exists(_) | Self::Compares(_) => true,
        }
    }

    /// Every field that it names.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::And(inner) | Self::Or(inner) => inner.iter().flat_map(Self::fields).collect(),
            Self::Not(inner) => inner.fields(),
            Self::Exists(field) | Self::Compares(field) => vec![field],
        }
    }

    /// The fields without which it says something else. Whether a field exists is answered rightly where it does not.
    pub(super) fn compared(&self) -> Vec<&str> {
        match self {
            Self::And(inner) | Self::Or(inner) => inner.iter().flat_map(Self::compared).collect(),
            Self::Not(inner) => inner.compared(),
            Self::Exists(_) => Vec::new(),
            Self::Compares(field) => vec![field],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Quoted,
    Mark(&'a str),
}

const MARKS: [&str; 7] = ["<=", ">=", "<", ">", ":", "(", ")"];

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, after) = if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            (Token::Mark(mark), rest.strip_prefix(mark)?)
        } else if let Some(quoted) = rest.strip_prefix('"') {
            (Token::Quoted, quoted.split_once('"')?.1)
        } else {
            let is_end = |letter: char| letter.is_whitespace() || "<>:()\"".contains(letter);
            let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
            (Token::Word(word), after)
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    position: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.position).copied();
        self.position += 1;
        token
    }

    fn take(&mut self, wanted: impl Fn(Token<'a>) -> bool) -> bool {
        let is_there = self.tokens.get(self.position).is_some_and(|token| wanted(*token));
        self.position += usize::from(is_there);
        is_there
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        self.take(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted)))
    }

    fn take_mark(&mut self, wanted: &str) -> bool {
        self.take(|token| token == Token::Mark(wanted))
    }

    fn or(&mut self) -> Option<Query> {
        let mut some = vec![self.and()?];
        while self.take_word("or") {
            some.push(self.and()?);
        }
        Some(if some.len() == 1 {
            some.remove(0)
        } else {
            Query::Or(some)
        })
    }

    fn and(&mut self) -> Option<Query> {
        let mut all = vec![self.not()?];
        while self.take_word("and") {
            all.push(self.not()?);
        }
        Some(if all.len() == 1 {
            all.remove(0)
        } else {
            Query::And(all)
        })
    }

    fn not(&mut self) -> Option<Query> {
        if self.take_word("not") {
            return Some(Query::Not(Box::new(self.not()?)));
        }
        if self.take_mark("(") {
            let inner = self.or()?;
            return self.take_mark(")").then_some(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Query> {
        let Token::Word(field) = self.next()? else {
            return None;
        };
        let field = field.to_owned();
        let Token::Mark(mark) = self.next()? else {
            return None;
        };
        if mark != ":" {
            self.next()?;
            return Some(Query::Compares(field));
        }
        match self.next()? {
            Token::Word("*") => Some(Query::Exists(field)),
            Token::Word(_) | Token::Quoted => Some(Query::Compares(field)),
            Token::Mark("(") => {
                // A list of values.
                while !self.take_mark(")") {
                    self.next().filter(|token| !matches!(token, Token::Mark(_)))?;
                }
                Some(Query::Compares(field))
            }
            Token::Mark(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be_true(query: &str, lacking: &[&str]) -> bool {
        Query::parse(query)
            .unwrap()
            .may_be_true(&|field| !lacking.contains(&field))
    }

    #[test]
    fn a_query_may_be_true_without_what_it_does_not_need() {
        let query = r#"a: "x" and not b: ("y" or "z:1") and (c: * or d < 5 or (not e: * and f >= "2"))"#;
        assert!(may_be_true(query, &[]));
        assert!(!may_be_true(query, &["a"]), "all of it are needed");
        assert!(may_be_true(query, &["b"]), "nothing to be excluded");
        assert!(may_be_true(query, &["c", "d"]), "one way is left");
        assert!(
            may_be_true(query, &["c", "d", "e"]),
            "that it does not exist is true"
        );
        assert!(!may_be_true(query, &["c", "d", "f"]), "no way is left");
        assert!(!may_be_true("not not a: b", &["a"]));
        assert!(may_be_true("not (a: b and c: d)", &["a"]));
        assert!(may_be_true(" ", &["a"]));
    }

    #[test]
    fn fields_that_are_compared_are_told_from_those_that_exist() {
        let query = Query::parse(r#"not a.b: ("x" or "2001:db8::/32") and c: * or d < 5"#).unwrap();
        assert_eq!(query.fields(), ["a.b", "c", "d"]);
        assert_eq!(query.compared(), ["a.b", "d"]);
    }

    #[test]
    fn what_the_pack_does_not_use_is_not_understood() {
        for text in ["free text", "a: \"open", "(a: b", "a: (b or c", "a:", "a: b c: d"] {
            assert_eq!(Query::parse(text), None, "{text}");
        }
    }
}
