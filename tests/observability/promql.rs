//! Which series a PromQL expression reads: enough of the language to find every selector with its
//! matchers and every label it groups by, strict enough to refuse what it does not know.

use std::iter::Peekable;
use std::str::CharIndices;

/// Functions and aggregations that rules and dashboards use. A name before `(` that is not here is
/// refused: either a slip or a function to add.
const FUNCTIONS: &[&str] = &[
    "absent",
    "avg",
    "ceil",
    "clamp_max",
    "clamp_min",
    "count",
    "delta",
    "deriv",
    "floor",
    "group",
    "histogram_quantile",
    "increase",
    "irate",
    "max",
    "max_over_time",
    "min",
    "min_over_time",
    "predict_linear",
    "quantile",
    "rate",
    "resets",
    "round",
    "scalar",
    "sum",
    "time",
    "topk",
    "vector",
];
const OPERATORS: &[&str] = &["and", "or", "unless", "bool", "offset"];
const GROUPINGS: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// `metric{name op "value", ...}`
#[derive(Debug, PartialEq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, PartialEq)]
pub struct Matcher {
    pub label: String,
    pub op: String,
    pub value: String,
}

/// What an expression reads.
#[derive(Debug, Default, PartialEq)]
pub struct ExpressionReads {
    pub selectors: Vec<Selector>,
    /// Labels named in `by (...)` and its like.
    pub grouped_by: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Sign(char),
}

/// Reads `expression`, or says what it does not understand.
pub fn reads(expression: &str) -> Result<ExpressionReads, String> {
    let tokens = tokens(expression)?;
    let mut reads = ExpressionReads::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let Token::Name(name) = token else { continue };
        let calls = tokens.get(at) == Some(&Token::Sign('('));
        if OPERATORS.contains(&name.as_str()) {
            continue;
        } else if GROUPINGS.contains(&name.as_str()) {
            at = labels(&tokens, at, &mut reads.grouped_by)?;
        } else if FUNCTIONS.contains(&name.as_str()) {
            let grouped =
                matches!(tokens.get(at), Some(Token::Name(n)) if GROUPINGS.contains(&n.as_str()));
            if !calls && !grouped {
                return Err(format!("{name} without ("));
            }
        } else if calls {
            return Err(format!("unknown function {name}"));
        } else {
            let matchers;
            (matchers, at) = self::matchers(&tokens, at)?;
            reads.selectors.push(Selector {
                metric: name.clone(),
                matchers,
            });
        }
    }
    Ok(reads)
}

/// `(a, b)` at `at`; where `on` and `group_left` stand without a list there is none to read.
fn labels(tokens: &[Token], mut at: usize, found: &mut Vec<String>) -> Result<usize, String> {
    if tokens.get(at) != Some(&Token::Sign('(')) {
        return Ok(at);
    }
    loop {
        at += 1;
        match tokens.get(at) {
            Some(Token::Name(label)) => found.push(label.clone()),
            Some(Token::Sign(',')) => {}
            Some(Token::Sign(')')) => return Ok(at + 1),
            other => return Err(format!("{other:?} among labels")),
        }
    }
}

/// `{a="b", c=~"d"}` at `at`, when there is one.
fn matchers(tokens: &[Token], mut at: usize) -> Result<(Vec<Matcher>, usize), String> {
    let mut found = Vec::new();
    if tokens.get(at) != Some(&Token::Sign('{')) {
        return Ok((found, at));
    }
    at += 1;
    loop {
        match &tokens[at.min(tokens.len() - 1)..] {
            [Token::Sign('}'), ..] => return Ok((found, at + 1)),
            [Token::Sign(','), ..] => at += 1,
            [Token::Name(label), rest @ ..] => {
                let op: String = rest
                    .iter()
                    .map_while(sign)
                    .take_while(|c| "=!~".contains(*c))
                    .collect();
                let Some(Token::Text(value)) = rest.get(op.len()) else {
                    return Err(format!("{label} without a value"));
                };
                found.push(Matcher {
                    label: label.clone(),
                    op: op.clone(),
                    value: value.clone(),
                });
                at += op.len() + 2;
            }
            other => return Err(format!("{:?} among matchers", other.first())),
        }
    }
}

fn sign(token: &Token) -> Option<char> {
    match token {
        Token::Sign(sign) => Some(*sign),
        _ => None,
    }
}

fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = expression.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '"' | '\'' => found.push(Token::Text(text(&mut rest, c)?)),
            // A range or a subquery: durations, and Grafana's variables for them.
            '[' => skip_until(&mut rest, ']')?,
            // A number, or a duration after `offset`.
            c if c.is_ascii_digit() => {
                while_next(&mut rest, |c| c.is_ascii_alphanumeric() || c == '.')
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                while_next(&mut rest, |c| {
                    c.is_ascii_alphanumeric() || c == '_' || c == ':'
                });
                let end = rest.peek().map_or(expression.len(), |(end, _)| *end);
                found.push(Token::Name(expression[at..end].to_owned()));
            }
            c if "(){},=!~<>+-*/%^@".contains(c) => found.push(Token::Sign(c)),
            c => return Err(format!("{c:?} in {expression}")),
        }
    }
    Ok(found)
}

fn text(rest: &mut Peekable<CharIndices>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, c)) = rest.next() {
        match c {
            c if c == quote => return Ok(text),
            '\\' => text.extend(rest.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    Err(format!("a string without its end: {text}"))
}

fn skip_until(rest: &mut Peekable<CharIndices>, end: char) -> Result<(), String> {
    rest.find(|(_, c)| *c == end)
        .map(drop)
        .ok_or_else(|| format!("no {end}"))
}

fn while_next(rest: &mut Peekable<CharIndices>, belongs: impl Fn(char) -> bool) {
    while rest.next_if(|(_, c)| belongs(*c)).is_some() {}
}

#[test]
fn selectors_are_told_from_functions_labels_and_keywords() {
    let read = reads(
        "histogram_quantile(0.99, sum by (le, tier) (rate(calldex_a_bucket{job=~\"$job\",tier!=\"sum\"}[5m])))
         and on (job) a:b:c > 1e3 or sum(up offset 5m) without (instance) / x",
    )
    .unwrap();
    let names: Vec<_> = read.selectors.iter().map(|s| s.metric.as_str()).collect();
    assert_eq!(names, ["calldex_a_bucket", "a:b:c", "up", "x"]);
    assert_eq!(read.grouped_by, ["le", "tier", "job", "instance"]);
    let shown = |m: &Matcher| format!("{}{}{}", m.label, m.op, m.value);
    assert_eq!(
        read.selectors[0]
            .matchers
            .iter()
            .map(shown)
            .collect::<Vec<_>>(),
        ["job=~$job", "tier!=sum"]
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    for wrong in [
        "summ(x)",
        "rate",
        "x{a=}",
        "x{a=\"b\"",
        "x{\"a\"}",
        "sum by (\"a\") (x)",
        "x[5m",
        "x ; y",
        "x{a=\"b}",
    ] {
        assert!(reads(wrong).is_err(), "{wrong}: {:?}", reads(wrong));
    }
}
