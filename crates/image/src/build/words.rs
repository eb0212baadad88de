//! Words of an instruction: quoting, escapes and variables, as Docker's own small shell language has them.

use super::substitution as pattern;

/// Looks up a variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Nested defaults (`${a:-${b:-…}}`) deeper than this are refused.
const DEPTH_MAX: usize = 20;

/// Splits at white space outside of quotes. The words keep their quotes and escapes: [`expand`] takes those away.
pub(super) fn split(text: &str, escape: char) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if let Some(open) = quote {
        return Err(format!("unterminated {open} quote"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Takes quotes and escapes away and puts in the values of variables.
pub(super) fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    Expander { chars: text.chars().peekable(), escape, lookup, depth: 0 }.run(None)
}

/// Puts in the values of variables and leaves everything else as it is (here-documents).
pub(super) fn expand_variables(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expander = Expander { chars: text.chars().peekable(), escape, lookup, depth: 0 };
    let mut out = String::new();
    while let Some(c) = expander.chars.next() {
        match c {
            '$' => expander.variable(&mut out)?,
            c if c == escape => match expander.chars.next_if(|next| *next == '$' || *next == escape) {
                Some(next) => out.push(next),
                None => out.push(c),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

struct Expander<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
    depth: usize,
}

impl Expander<'_> {
    /// Expands up to the character `until`, which is consumed, or to the end.
    fn run(&mut self, until: Option<char>) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                c if Some(c) == until => return Ok(out),
                '\'' => self.single_quoted(&mut out)?,
                '"' => self.double_quoted(&mut out)?,
                '$' => self.variable(&mut out)?,
                // At the very end it stands for itself.
                c if c == self.escape => out.push(self.chars.next().unwrap_or(c)),
                c => out.push(c),
            }
        }
        match until {
            Some(c) => Err(format!("`{c}` is missing in a variable substitution")),
            None => Ok(out),
        }
    }

    fn single_quoted(&mut self, out: &mut String) -> Result<(), String> {
        for c in self.chars.by_ref() {
            if c == '\'' {
                return Ok(());
            }
            out.push(c);
        }
        Err("unterminated ' quote".to_owned())
    }

    fn double_quoted(&mut self, out: &mut String) -> Result<(), String> {
        while let Some(c) = self.chars.next() {
            match c {
                '"' => return Ok(()),
                '$' => self.variable(out)?,
                c if c == self.escape => {
                    // Only these need escaping here; before others the escape is text.
                    match self.chars.next_if(|next| matches!(next, '"' | '$') || *next == self.escape) {
                        Some(next) => out.push(next),
                        None => out.push(c),
                    }
                }
                c => out.push(c),
            }
        }
        Err("unterminated \" quote".to_owned())
    }

    /// After a `$`.
    fn variable(&mut self, out: &mut String) -> Result<(), String> {
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced(out);
        }
        let name = self.name();
        if !name.is_empty() {
            out.push_str(&(self.lookup)(&name).unwrap_or_default());
        } else if self.chars.next_if(|c| c.is_ascii_digit() || "@*#?-!".contains(*c)).is_none() {
            // Parameters of a shell have no value here; any other `$` is itself.
            out.push('$');
        }
        Ok(())
    }

    /// After `${`.
    fn braced(&mut self, out: &mut String) -> Result<(), String> {
        let name = self.name();
        if name.is_empty() {
            return Err("bad substitution: `${` needs a variable's name".to_owned());
        }
        let value = (self.lookup)(&name);
        if self.chars.next_if_eq(&'}').is_some() {
            out.push_str(&value.unwrap_or_default());
            return Ok(());
        }
        // With a colon, an empty value counts as unset.
        let colon = self.chars.next_if_eq(&':').is_some();
        let operator = self.chars.next().ok_or_else(|| format!("`}}` is missing after `${{{name}`"))?;
        if !colon && matches!(operator, '#' | '%' | '/') {
            out.push_str(&self.cut(operator, &value.unwrap_or_default())?);
            return Ok(());
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("substitutions are nested too deeply".to_owned());
        }
        let word = self.run(Some('}'))?;
        self.depth -= 1;
        let set = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
        match operator {
            '-' => out.push_str(&if set { value.unwrap_or_default() } else { word }),
            '+' => out.push_str(if set { &word } else { "" }),
            '?' if set => out.push_str(&value.unwrap_or_default()),
            '?' => return Err(format!("{name}: {}", if word.is_empty() { "is not set" } else { &word })),
            other => return Err(format!("unsupported modifier `{other}` in substitution of `{name}`")),
        }
        Ok(())
    }

    /// After `${name#`, `${name%` or `${name/`: the value without its start or end, or with something else in it.
    fn cut(&mut self, operator: char, value: &str) -> Result<String, String> {
        let twice = self.chars.next_if_eq(&operator).is_some();
        let chars: Vec<char> = value.chars().collect();
        if operator == '/' {
            let (pattern, end) = self.pattern(&['/', '}'])?;
            let with = if end == '/' { self.run(Some('}'))? } else { String::new() };
            return Ok(pattern::replace(&chars, &pattern, &with, twice));
        }
        let (pattern, _) = self.pattern(&['}'])?;
        Ok(match operator {
            '#' => pattern::without_start(&chars, &pattern, twice),
            _ => pattern::without_end(&chars, &pattern, twice),
        })
    }

    /// A pattern up to one of the characters `until`, which is consumed and returned. What is quoted, escaped or the value of
    /// a variable stands for itself.
    fn pattern(&mut self, until: &[char]) -> Result<(Vec<pattern::Part>, char), String> {
        use pattern::Part;
        let mut parts = Vec::new();
        while let Some(c) = self.chars.next() {
            let mut text = String::new();
            match c {
                c if until.contains(&c) => return Ok((parts, c)),
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                '\'' => self.single_quoted(&mut text)?,
                '"' => self.double_quoted(&mut text)?,
                '$' => self.variable(&mut text)?,
                c if c == self.escape => text.push(self.chars.next().unwrap_or(c)),
                c => text.push(c),
            }
            parts.extend(text.chars().map(Part::Is));
        }
        Err("`}` is missing in a variable substitution".to_owned())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) =
            self.chars.next_if(|c| c.is_ascii_alphabetic() || *c == '_' || (!name.is_empty() && c.is_ascii_digit()))
        {
            name.push(c);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let lookup = |name: &str| match name {
            "a" => Some("A".to_owned()),
            "empty" => Some(String::new()),
            "two" => Some("x y".to_owned()),
            "path" => Some("a/b/c.tar.gz".to_owned()),
            "slash" => Some("/".to_owned()),
            "star" => Some("*b*c".to_owned()),
            _ => None,
        };
        assert_eq!(expand(text, '\\', &lookup).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn quotes_and_escapes_are_taken_away() {
        check(r#"plain "double 'x'" 'single "y" $a'"#, r#"plain double 'x' single "y" $a"#);
        check(r#"\$a "\$a \n \"" a\ b \"#, r#"$a $a \n " a b \"#);
    }

    #[test]
    fn variables_are_put_in() {
        check("$a ${a} $ab ${two}", "A A  x y");
        check("${a:-d} ${empty:-d} ${empty-d} ${none:-d} ${none-d}", "A d  d d");
        check("${a:+d} ${empty:+d} ${empty+d} ${none+d}", "d  d ");
        check("${none:-${a}/${other:-\"q}\"}}", "A/q}");
        check("$ 100$ $1 a$", "$ 100$  a$");
        check("'$a'\"$a\"$a", "$aAA");
        check("${path#*/} ${path##*/} ${path%/*} ${path%%/*} ${path%.gz}", "b/c.tar.gz c.tar.gz a/b a a/b/c.tar");
        check(
            "${path/a/x} ${path//[/-} ${path//\\//-} ${path/?.t/T} ${path/b} ${path//${slash}/+}",
            "x/b/c.tar.gz a/b/c.tar.gz a-b-c.tar.gz a/b/Tar.gz a//c.tar.gz a+b+c.tar.gz",
        );
        check("${none#x}${none/x/y} ${star#\\*} ${star#*}", " b*c *b*c");
    }

    #[test]
    fn mistakes_are_named() {
        for wrong in ["${", "${}", "${a", "${a:", "${none:?needed}", "'open", "\"open", "${a:-${b}"] {
            assert!(expand(wrong, '\\', &|_| None).is_err(), "{wrong}");
        }
        assert!(expand(&"${a:-".repeat(50), '\\', &|_| None).is_err());
    }

    #[test]
    fn words_are_split_outside_of_quotes() {
        let words = split(r#"a="b c" 'd  e'f  g\ h"#, '\\').expect("valid");
        assert_eq!(words, [r#"a="b c""#, "'d  e'f", r"g\ h"]);
        assert!(split("a 'b", '\\').is_err());
    }

    #[test]
    fn here_documents_keep_their_quotes() {
        let text = expand_variables("echo \"$a\" '\\$a' \\n", '\\', &|_| Some("A".into())).expect("valid");
        assert_eq!(text, "echo \"A\" '$a' \\n");
    }
}
