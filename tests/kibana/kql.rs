//! The part of KQL that the pack uses, and what Kibana makes of it for `_search`: `field: value`, `field: (a or b)`,
//! `field: *`, `field < value`, `and`, `or`, `not`, parentheses.

use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    All,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Exists(String),
    Is {
        field: String,
        value: String,
        /// In quotes, a value is a phrase.
        is_quoted: bool,
    },
    Range {
        field: String,
        /// `lt`, `lte`, `gt` or `gte`.
        operator: &'static str,
        value: String,
    },
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        if tokens.is_empty() {
            return Self::All;
        }
        let mut parser = Parser {
            tokens: &tokens,
            position: 0,
        };
        let query = parser.or();
        assert_eq!(
            parser.position,
            tokens.len(),
            "`{text}` goes on after what can be understood"
        );
        query
    }

    /// As Kibana sends it.
    pub(super) fn to_search(&self) -> Value {
        let any = |clause: Value| json!({"bool": {"should": [clause], "minimum_should_match": 1}});
        match self {
            Self::All => json!({"match_all": {}}),
            Self::And(all) => {
                json!({"bool": {"filter": all.iter().map(Self::to_search).collect::<Vec<_>>()}})
            }
            Self::Or(some) => {
                let some: Vec<Value> = some.iter().map(Self::to_search).collect();
                json!({"bool": {"should": some, "minimum_should_match": 1}})
            }
            Self::Not(query) => json!({"bool": {"must_not": query.to_search()}}),
            Self::Exists(field) => any(json!({"exists": {"field": field}})),
            Self::Is {
                field,
                value,
                is_quoted: true,
            } => any(json!({"match_phrase": {field: value}})),
            Self::Is { field, value, .. } => any(json!({"match": {field: value}})),
            Self::Range {
                field,
                operator,
                value,
            } => any(json!({"range": {field: {*operator: value}}})),
        }
    }

    /// With times that are said from now on said from this date on.
    pub(super) fn at(self, now: &str) -> Self {
        let all = |inner: Vec<Self>| inner.into_iter().map(|query| query.at(now)).collect();
        match self {
            Self::And(inner) => Self::And(all(inner)),
            Self::Or(inner) => Self::Or(all(inner)),
            Self::Not(inner) => Self::Not(Box::new(inner.at(now))),
            Self::Range {
                field,
                operator,
                value,
            } if value.starts_with("now") => Self::Range {
                field,
                operator,
                value: value.replacen("now", &format!("{now}||"), 1),
            },
            other => other,
        }
    }

    /// Every field and the value that it is compared with.
    pub(super) fn comparisons(&self) -> Vec<(&str, Option<&str>)> {
        match self {
            Self::All => Vec::new(),
            Self::And(inner) | Self::Or(inner) => inner.iter().flat_map(Self::comparisons).collect(),
            Self::Not(inner) => inner.comparisons(),
            Self::Exists(field) => vec![(field, None)],
            Self::Is { field, value, .. } | Self::Range { field, value, .. } => vec![(field, Some(value))],
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(&'static str),
}

const MARKS: [&str; 7] = ["<=", ">=", "<", ">", ":", "(", ")"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, after) = if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            (Token::Mark(mark), rest.split_at(mark.len()).1)
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let parts = quoted.split_once('"');
            let (value, after) = parts.unwrap_or_else(|| panic!("`{text}`: a quote is open"));
            (Token::Quoted(value.to_owned()), after)
        } else {
            let is_end = |letter: char| letter.is_whitespace() || "<>:()\"".contains(letter);
            let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
            (Token::Word(word.to_owned()), after)
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: &'a [Token],
    position: usize,
}

impl Parser<'_> {
    fn take_mark(&mut self, mark: &str) -> bool {
        let is_there = matches!(self.tokens.get(self.position), Some(Token::Mark(found)) if *found == mark);
        self.position += usize::from(is_there);
        is_there
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_there = matches!(self.tokens.get(self.position), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.position += usize::from(is_there);
        is_there
    }

    fn or(&mut self) -> Query {
        let mut some = vec![self.and()];
        while self.take_word("or") {
            some.push(self.and());
        }
        if some.len() == 1 {
            some.remove(0)
        } else {
            Query::Or(some)
        }
    }

    fn and(&mut self) -> Query {
        let mut all = vec![self.not()];
        while self.take_word("and") {
            all.push(self.not());
        }
        if all.len() == 1 {
            all.remove(0)
        } else {
            Query::And(all)
        }
    }

    fn not(&mut self) -> Query {
        if self.take_word("not") {
            return Query::Not(Box::new(self.not()));
        }
        if self.take_mark("(") {
            let inner = self.or();
            assert!(self.take_mark(")"), "a parenthesis is open");
            return inner;
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Query {
        let (field, _) = self.value();
        for (mark, operator) in [("<=", "lte"), (">=", "gte"), ("<", "lt"), (">", "gt")] {
            if self.take_mark(mark) {
                let (value, _) = self.value();
                return Query::Range {
                    field,
                    operator,
                    value,
                };
            }
        }
        assert!(
            self.take_mark(":"),
            "`{field}` is no comparison, and free text is not meant"
        );
        if !self.take_mark("(") {
            return self.is(&field);
        }
        let mut some = vec![self.is(&field)];
        while self.take_word("or") {
            some.push(self.is(&field));
        }
        assert!(self.take_mark(")"), "a list of values is open");
        Query::Or(some)
    }

    fn is(&mut self, field: &str) -> Query {
        let field = field.to_owned();
        match self.value() {
            (value, false) if value == "*" => Query::Exists(field),
            (value, false) if value.contains('*') => panic!("`{value}`: patterns are not used"),
            (value, is_quoted) => Query::Is {
                field,
                value,
                is_quoted,
            },
        }
    }

    /// A word or a text in quotes, and which of them.
    fn value(&mut self) -> (String, bool) {
        let token = self.tokens.get(self.position);
        self.position += 1;
        match token {
            Some(Token::Word(word)) => (word.clone(), false),
            Some(Token::Quoted(text)) => (text.clone(), true),
            other => panic!("{other:?} is no value"),
        }
    }
}

#[test]
fn queries_bind_as_in_kibana() {
    let is = |field: &str, value: &str, is_quoted| Query::Is {
        field: field.to_owned(),
        value: value.to_owned(),
        is_quoted,
    };
    let expected = Query::Or(vec![
        Query::And(vec![
            Query::Not(Box::new(Query::Or(vec![
                is("a.b", "x y", true),
                is("a.b", "2001:db8::/32", true),
            ]))),
            Query::Exists("c".to_owned()),
        ]),
        Query::Range {
            field: "d".to_owned(),
            operator: "lt",
            value: "5".to_owned(),
        },
    ]);
    assert_eq!(
        Query::parse(r#"not a.b: ("x y" or "2001:db8::/32") and c: * or d < 5"#),
        expected
    );
    assert_eq!(
        Query::parse("(a: b)").to_search(),
        json!({"bool": {"should": [{"match": {"a": "b"}}], "minimum_should_match": 1}})
    );
    assert_eq!(Query::parse(" "), Query::All);
}
