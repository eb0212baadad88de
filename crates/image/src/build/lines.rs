//! Cuts a Dockerfile into logical lines: directives, comments, continuations, here-documents.

use super::DockerfileError;

/// One instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it starts, from 1.
    pub number: usize,
    /// Without continuations and without here-documents.
    pub text: String,
    /// Here-documents that follow it, in order.
    pub heredocs: Vec<Heredoc>,
}

/// `<<NAME` … `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heredoc {
    pub name: String,
    /// The lines between, each with its newline.
    pub content: String,
    /// The name was not quoted: variables in the content count.
    pub expand: bool,
}

/// The instructions' lines, and the escape character.
pub(super) fn split(source: &str) -> Result<(Vec<Line>, char), DockerfileError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut physical = source.lines().enumerate().map(|(i, line)| (i + 1, line)).peekable();
    let mut escape = '\\';
    // Directives come first; the first line that is none ends them.
    while let Some((number, line)) = physical.peek().copied() {
        match directive(line) {
            Some(("escape", value)) => {
                escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => return Err(DockerfileError::new(number, format!("invalid escape character `{value}`"))),
                }
            }
            // The syntax this crate knows is the only one there is; `check` configures a linter.
            Some(("syntax" | "check", _)) => {}
            _ => break,
        }
        physical.next();
    }
    let mut lines = Vec::new();
    while let Some((number, first)) = physical.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let mut text = String::new();
        let mut part = Some(first);
        while let Some(line) = part.take() {
            match continued(line, escape) {
                None => text.push_str(line),
                Some(line) => {
                    text.push_str(line);
                    // Comments and empty lines in between do not end the instruction.
                    part = physical
                        .by_ref()
                        .map(|(_, line)| line)
                        .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
                }
            }
        }
        let text = text.trim_end().to_owned();
        let mut heredocs = Vec::new();
        for (name, expand, strip_tabs) in heredoc_names(&text, escape) {
            let mut content = String::new();
            loop {
                let Some((_, line)) = physical.next() else {
                    return Err(DockerfileError::new(number, format!("here-document `{name}` does not end")));
                };
                let line = if strip_tabs { line.trim_start_matches('\t') } else { line };
                if line == name {
                    break;
                }
                content.push_str(line);
                content.push('\n');
            }
            heredocs.push(Heredoc { name, content, expand });
        }
        lines.push(Line { number, text, heredocs });
    }
    Ok((lines, escape))
}

/// `# key=value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().strip_prefix('#')?.split_once('=')?;
    let key = key.trim();
    ["escape", "syntax", "check"]
        .into_iter()
        .find(|known| key.eq_ignore_ascii_case(known))
        .map(|key| (key, value.trim()))
}

/// The line without its continuation mark, if it has one. A doubled mark is text.
fn continued(line: &str, escape: char) -> Option<&str> {
    let rest = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!rest.ends_with(escape)).then_some(rest)
}

/// The here-documents that a RUN, COPY or ADD announces: name, whether variables in it count, whether leading tabs go.
fn heredoc_names(text: &str, escape: char) -> Vec<(String, bool, bool)> {
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let takes = ["RUN", "COPY", "ADD"].iter().any(|k| keyword.eq_ignore_ascii_case(k));
    // An exec form is no shell's business, but `[` is also a command of every shell.
    if !takes || super::instruction::json(rest.trim()).is_some() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut chars = rest.chars().peekable();
    let mut quote = None;
    // A here-document begins a word of the shell, or follows the number of a descriptor that does: `$((1<<n))` has none.
    let mut begins = true;
    while let Some(c) = chars.next() {
        let is_begin = begins;
        begins = c.is_whitespace() || (is_begin && c.is_ascii_digit());
        match (quote, c) {
            (_, c) if c == escape && quote != Some('\'') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '<') if is_begin && chars.peek() == Some(&'<') => {
                chars.next();
                // `<<<` is a here-string, the shell's own business.
                if chars.next_if_eq(&'<').is_some() {
                    continue;
                }
                let strip_tabs = chars.next_if_eq(&'-').is_some();
                let quoted = chars.next_if(|c| matches!(c, '"' | '\''));
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
                    name.push(c);
                }
                let closed = quoted.is_none_or(|q| chars.next_if_eq(&q).is_some());
                // `1 << 2` has no name.
                if closed && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    found.push((name, quoted.is_none(), strip_tabs));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(usize, String)> {
        split(source).expect("valid").0.into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn comments_and_continuations() {
        let source = "# a comment\nFROM scratch\n\nRUN a && \\\n  # inside\n\n  b \\ \n  c\nCMD x \\\\\nUSER y";
        assert_eq!(
            texts(source),
            [
                (2, "FROM scratch".into()),
                (4, "RUN a &&   b   c".into()),
                (9, "CMD x \\\\".into()),
                (10, "USER y".into())
            ]
        );
        assert_eq!(texts("RUN a \\"), [(1, "RUN a".into())], "a continuation of nothing");
        assert_eq!(texts("\u{feff}RUN a\r\nRUN b\r\n"), [(1, "RUN a".into()), (2, "RUN b".into())]);
        assert_eq!(texts("RUN echo # not a comment"), [(1, "RUN echo # not a comment".into())]);
    }

    #[test]
    fn the_escape_character_can_be_changed() {
        let (lines, escape) = split("# escape=`\nRUN a `\n b\nRUN c\\").expect("valid");
        assert_eq!((lines[0].text.as_str(), lines[1].text.as_str(), escape), ("RUN a  b", "RUN c\\", '`'));
        assert!(split("# escape=x\nRUN a").is_err());
        // After anything else it is a comment.
        assert_eq!(split("# hello\n# escape=`\nRUN a").expect("valid").1, '\\');
    }

    #[test]
    fn here_documents() {
        let (lines, _) =
            split("RUN <<EOF\nset -e\n# kept\n\techo hi\nEOF\nCOPY <<-'A' <<B /to\n\tx\n\tA\ny\nB\nUSER z")
                .expect("valid");
        assert_eq!(lines[0].heredocs[0].content, "set -e\n# kept\n\techo hi\n");
        assert!(lines[0].heredocs[0].expand);
        assert_eq!(lines[1].heredocs[0], Heredoc { name: "A".into(), content: "x\n".into(), expand: false });
        assert_eq!(lines[1].heredocs[1], Heredoc { name: "B".into(), content: "y\n".into(), expand: true });
        assert_eq!((lines[2].number, lines[2].text.as_str()), (11, "USER z"));
        let (lines, _) = split("RUN [ -d /x ] || cat <<EOF > /y\nz\nEOF").expect("valid");
        assert_eq!(lines[0].heredocs[0].content, "z\n", "`[` is a command as well");
        assert!(split("RUN <<EOF\nnever ends").is_err());
        for plain in [
            "RUN echo $((1 << 2))",
            "RUN [ $((1<<n)) -gt 4 ] && x",
            "RUN cat <<< x",
            "RUN echo '<<EOF'",
            "ENV A=<<EOF",
            "RUN [\"it's\", \"<<EOF\"]",
        ] {
            assert!(split(plain).expect(plain).0[0].heredocs.is_empty(), "{plain}");
        }
    }
}
