use super::*;
use clap::Command;

#[test]
fn help_teaches() {
    let mut command = Arguments::augment_args(Command::new("doctor")).term_width(100);
    insta::assert_snapshot!(command.render_long_help(), @"");
}
