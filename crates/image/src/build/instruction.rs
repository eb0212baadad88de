//! Parses a Dockerfile into stages and instructions. Nothing is looked up or expanded here: that needs the stage's state.

use super::DockerfileError;
use super::lines::{self, Heredoc, Line};
use super::mount;
use super::words;

/// A whole file.
#[derive(Debug)]
pub(super) struct Dockerfile {
    /// ARG before the first FROM: line, name, default.
    pub globals: Vec<(usize, String, Option<String>)>,
    /// At least one.
    pub stages: Vec<Stage>,
    pub escape: char,
}

/// FROM and what follows it.
#[derive(Debug)]
pub(super) struct Stage {
    pub line: usize,
    pub text: String,
    /// Unexpanded.
    pub image: String,
    /// Unexpanded.
    pub platform: Option<String>,
    /// Lower case.
    pub name: Option<String>,
    pub steps: Vec<Step>,
}

/// An instruction, where it starts and how it reads.
#[derive(Debug)]
pub(super) struct Step {
    pub line: usize,
    pub text: String,
    pub instruction: Instruction,
}

/// Words are unexpanded, with their quotes, except where said otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    Run {
        command: Command,
        heredocs: Vec<Heredoc>,
        mounts: Vec<mount::Flag>,
        /// `--network=none`.
        is_offline: bool,
    },
    Copy(Copy),
    Env(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Label(Vec<(String, String)>),
    Workdir(String),
    User(String),
    Expose(Vec<String>),
    Volume(Vec<String>),
    StopSignal(String),
    Cmd(Command),
    Entrypoint(Command),
    /// Final.
    Shell(Vec<String>),
    Healthcheck(Healthcheck),
    /// Final.
    Maintainer(String),
    /// An instruction for builds on top. Final.
    Onbuild(String),
}

/// Text for a shell, or a program with its arguments. Final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Shell(String),
    Exec(Vec<String>),
}

/// COPY or ADD.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// ADD: archives are extracted.
    pub add: bool,
    /// A stage or an image. Final.
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    /// What a download must be. Final.
    pub checksum: Option<String>,
    pub sources: Vec<Source>,
    pub dest: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Path(String),
    Inline(Heredoc),
}

/// HEALTHCHECK; times in nanoseconds, 0 for the default.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Healthcheck {
    None,
    Command { command: Command, interval: i64, timeout: i64, start_period: i64, start_interval: i64, retries: i64 },
}

/// What `--from` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StageSource {
    Stage(usize),
    Image,
}

impl Dockerfile {
    /// The latest stage before `before` that has this name.
    pub fn stage_named(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        self.stages[..before].iter().rposition(|stage| stage.name.as_deref() == Some(&name))
    }

    /// What `--from=name` means in stage `within`.
    pub fn source(&self, name: &str, within: usize) -> StageSource {
        let number = || name.parse().ok().filter(|n| *n < within);
        self.stage_named(name, within).or_else(number).map_or(StageSource::Image, StageSource::Stage)
    }
}

/// Parses a Dockerfile's text.
pub(super) fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
    let (lines, escape) = lines::split(text)?;
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines {
        let number = line.number;
        let parser = Parser { escape };
        let wrong = |message: String| DockerfileError::new(number, message);
        let (keyword, rest) = line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
        let (keyword, rest) = (keyword.to_ascii_uppercase(), rest.trim());
        if keyword == "FROM" {
            stages.push(parser.from(&line, rest).map_err(wrong)?);
            continue;
        }
        let instruction = parser.instruction(&keyword, rest, &line).map_err(wrong)?;
        match (stages.last_mut(), instruction) {
            (Some(stage), instruction) => {
                // One instruction a line of the history, however it was broken.
                let text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
                stage.steps.push(Step { line: number, text, instruction });
            }
            (None, Instruction::Arg(args)) => {
                globals.extend(args.into_iter().map(|(name, value)| (number, name, value)))
            }
            (None, _) => return Err(wrong(format!("{keyword} before the first FROM: only ARG may stand there"))),
        }
    }
    if stages.is_empty() {
        return Err(DockerfileError::new(1, "there is no FROM"));
    }
    Ok(Dockerfile { globals, stages, escape })
}

/// The instruction that an image left for builds on top of it; its line is that of FROM.
pub(super) fn parse_trigger(text: &str, line: usize, escape: char) -> Result<Step, DockerfileError> {
    Parser { escape }.trigger(line, text.trim()).map_err(|message| DockerfileError::new(line, message))
}

struct Parser {
    escape: char,
}

impl Parser {
    fn from(&self, line: &Line, rest: &str) -> Result<Stage, String> {
        let (flags, rest) = flags(rest);
        let mut platform = None;
        for (name, value) in flags {
            match name {
                "platform" => platform = value.map(str::to_owned),
                other => return Err(format!("unknown flag --{other} of FROM")),
            }
        }
        let words = words::split(rest, self.escape)?;
        let (image, name) = match words.as_slice() {
            [image] => (image, None),
            [image, r#as, name] if r#as.eq_ignore_ascii_case("as") => (image, Some(name.to_ascii_lowercase())),
            _ => return Err("FROM needs an image, or `image AS name`".to_owned()),
        };
        if let Some(name) = &name {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) {
                return Err(format!("invalid stage name `{name}`"));
            }
        }
        let (line, text) = (line.number, line.text.clone());
        Ok(Stage { line, text, image: image.clone(), platform, name, steps: Vec::new() })
    }

    fn instruction(&self, keyword: &str, rest: &str, line: &Line) -> Result<Instruction, String> {
        let needs = |what: &str| if rest.is_empty() { Err(format!("{keyword} needs {what}")) } else { Ok(()) };
        match keyword {
            "RUN" => {
                let (flags, rest) = flags(rest);
                let (mut mounts, mut is_offline) = (Vec::new(), false);
                for (name, value) in flags {
                    match (name, value.unwrap_or_default()) {
                        ("mount", text) => mounts.push(mount::Flag::parse(text)?),
                        ("network", "none") => is_offline = true,
                        // Other commands have the host's network.
                        ("network", "default" | "host") => is_offline = false,
                        ("security", "sandbox") => {}
                        ("network" | "security", text) => return Err(format!("RUN --{name}={text} is not supported")),
                        (name, _) => return Err(format!("unknown flag --{name} of RUN")),
                    }
                }
                if rest.is_empty() {
                    return Err("RUN needs a command".to_owned());
                }
                Ok(Instruction::Run { command: command(rest), heredocs: line.heredocs.clone(), mounts, is_offline })
            }
            "COPY" | "ADD" => self.copy(keyword == "ADD", rest, &line.heredocs).map(Instruction::Copy),
            "ENV" => {
                needs("NAME=value")?;
                self.pairs(keyword, rest).map(Instruction::Env)
            }
            "LABEL" => {
                needs("name=value")?;
                self.pairs(keyword, rest).map(Instruction::Label)
            }
            "ARG" => {
                needs("a name")?;
                self.args(rest).map(Instruction::Arg)
            }
            "WORKDIR" => needs("a directory").map(|()| Instruction::Workdir(rest.to_owned())),
            "USER" => needs("a user").map(|()| Instruction::User(rest.to_owned())),
            "STOPSIGNAL" => needs("a signal").map(|()| Instruction::StopSignal(rest.to_owned())),
            "EXPOSE" => {
                needs("a port")?;
                words::split(rest, self.escape).map(Instruction::Expose)
            }
            "VOLUME" => {
                needs("a directory")?;
                match json(rest) {
                    Some(paths) => Ok(Instruction::Volume(paths)),
                    None => words::split(rest, self.escape).map(Instruction::Volume),
                }
            }
            "CMD" => Ok(Instruction::Cmd(command(rest))),
            "ENTRYPOINT" => Ok(Instruction::Entrypoint(command(rest))),
            "SHELL" => match json(rest) {
                Some(words) if !words.is_empty() => Ok(Instruction::Shell(words)),
                _ => Err("SHELL needs a JSON array of strings".to_owned()),
            },
            "HEALTHCHECK" => healthcheck(rest).map(Instruction::Healthcheck),
            "MAINTAINER" => needs("a name").map(|()| Instruction::Maintainer(rest.to_owned())),
            "ONBUILD" => {
                needs("an instruction")?;
                if !line.heredocs.is_empty() {
                    return Err("a here-document in ONBUILD is not supported".to_owned());
                }
                self.trigger(line.number, rest)?;
                Ok(Instruction::Onbuild(rest.to_owned()))
            }
            other => Err(format!("unknown instruction {}", other.chars().take(40).collect::<String>())),
        }
    }

    /// The instruction after ONBUILD.
    fn trigger(&self, number: usize, text: &str) -> Result<Step, String> {
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let keyword = keyword.to_ascii_uppercase();
        if matches!(keyword.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
            return Err(format!("{keyword} is not allowed as an ONBUILD trigger"));
        }
        let line = Line { number, text: text.to_owned(), heredocs: Vec::new() };
        let instruction = self.instruction(&keyword, rest.trim(), &line)?;
        Ok(Step { line: number, text: text.to_owned(), instruction })
    }

    fn copy(&self, add: bool, rest: &str, heredocs: &[Heredoc]) -> Result<Copy, String> {
        let keyword = if add { "ADD" } else { "COPY" };
        let (flags, rest) = flags(rest);
        let mut copy = Copy {
            add,
            from: None,
            chown: None,
            chmod: None,
            checksum: None,
            sources: Vec::new(),
            dest: String::new(),
        };
        for (name, value) in flags {
            let text = value.unwrap_or_default();
            let value = || Some(text.to_owned()).filter(|v| !v.is_empty()).ok_or(format!("--{name} needs a value"));
            match name {
                // Which stages are needed is decided before any stage's variables are known.
                "from" if !add && text.contains('$') => {
                    return Err("variables are not supported in --from: name a stage `FROM $IMAGE AS name`".to_owned());
                }
                "from" if !add => copy.from = Some(value()?),
                "chown" => copy.chown = Some(value()?),
                "chmod" => copy.chmod = Some(value()?),
                "checksum" if add => copy.checksum = Some(value()?),
                // Layers are independent of those below anyway; only how a cache is used would differ.
                "link" => {}
                other => return Err(format!("{keyword} --{other} is not supported")),
            }
        }
        let mut words = match json(rest) {
            Some(words) => words.iter().map(|word| quoted(word)).collect(),
            None => words::split(rest, self.escape)?,
        };
        let remote = |words: &[String]| words.iter().any(|word| super::remote::is_url(word));
        if copy.checksum.is_some() && !remote(&words) {
            return Err("--checksum is for what ADD downloads".to_owned());
        }
        copy.dest =
            words.pop().filter(|_| !words.is_empty()).ok_or(format!("{keyword} needs a source and a destination"))?;
        let mut heredocs = heredocs.iter();
        for word in words {
            if word.starts_with("<<") {
                let heredoc = heredocs.next().ok_or(format!("malformed here-document `{word}`"))?;
                copy.sources.push(Source::Inline(heredoc.clone()));
                continue;
            }
            let is_git = ["git://", "git@", "ssh://"].iter().any(|scheme| word.starts_with(scheme));
            if add && (is_git || word.ends_with(".git")) {
                return Err("ADD of a Git repository is not supported: clone it in a RUN".to_owned());
            }
            copy.sources.push(Source::Path(word));
        }
        Ok(copy)
    }

    /// `name=value …`, or the old `name value with spaces`.
    fn pairs(&self, keyword: &str, rest: &str) -> Result<Vec<(String, String)>, String> {
        let words = words::split(rest, self.escape)?;
        if words.first().is_some_and(|word| !word.contains('=')) {
            let (name, value) =
                rest.split_once(char::is_whitespace).ok_or(format!("{keyword} needs a value for `{rest}`"))?;
            return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
        }
        let pair = |word: &String| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(format!("{keyword} needs name=value, not `{word}`")),
        };
        words.iter().map(pair).collect()
    }

    fn args(&self, rest: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let words = words::split(rest, self.escape)?;
        words
            .iter()
            .map(|word| {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (word.as_str(), None),
                };
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                match name.chars().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit()) {
                    true => Ok((name.to_owned(), value)),
                    false => Err(format!("invalid ARG name `{name}`")),
                }
            })
            .collect()
    }
}

/// `--name=value` at the start, and the rest.
fn flags(mut rest: &str) -> (Vec<(&str, Option<&str>)>, &str) {
    let mut flags = Vec::new();
    while let Some(after) = rest.strip_prefix("--") {
        let (flag, tail) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        rest = tail.trim_start();
        // `--` alone ends the flags.
        if flag.is_empty() {
            break;
        }
        flags.push(match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        });
    }
    (flags, rest)
}

fn command(rest: &str) -> Command {
    match json(rest) {
        Some(argv) => Command::Exec(argv),
        None => Command::Shell(rest.to_owned()),
    }
}

/// A JSON array of strings. Anything else, malformed arrays too, is text: so does Docker, and shells do know `[`.
pub(super) fn json(rest: &str) -> Option<Vec<String>> {
    if rest.starts_with('[') { serde_json::from_str(rest).ok() } else { None }
}

/// Words of the JSON form are taken as they are, but for variables.
fn quoted(word: &str) -> String {
    if word.contains(['\'', '"', '\\', ' ', '\t']) {
        // Only `$` keeps its meaning within double quotes.
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

fn healthcheck(rest: &str) -> Result<Healthcheck, String> {
    let (flags, rest) = flags(rest);
    let (mut interval, mut timeout, mut start_period, mut start_interval, mut retries) = (0, 0, 0, 0, 0);
    for (name, value) in flags {
        let value = value.ok_or(format!("--{name} needs a value"))?;
        match name {
            "interval" => interval = duration(value)?,
            "timeout" => timeout = duration(value)?,
            "start-period" => start_period = duration(value)?,
            "start-interval" => start_interval = duration(value)?,
            "retries" => {
                retries =
                    value.parse().ok().filter(|n| *n >= 0).ok_or(format!("--retries needs a number, not `{value}`"))?;
            }
            other => return Err(format!("HEALTHCHECK --{other} is not supported")),
        }
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.trim().is_empty() => Ok(Healthcheck::None),
        "CMD" if !rest.trim().is_empty() => Ok(Healthcheck::Command {
            command: command(rest.trim()),
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        }),
        _ => Err("HEALTHCHECK needs NONE, or CMD and a command".to_owned()),
    }
}

/// A duration in Go's notation (`1m30s`, `500ms`), in nanoseconds.
fn duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("invalid duration `{text}`: expected a number and ms, s, m or h");
    let mut rest = text;
    let mut total = 0_f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let units = [("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
        total += number * scale;
        rest = &rest[unit.len()..];
    }
    if total < 9e18 { Ok(total as i64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Instruction {
        let mut file = parse(&format!("FROM scratch\n{text}")).expect(text);
        file.stages[0].steps.remove(0).instruction
    }

    fn error(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn commands_have_two_forms() {
        assert_eq!(one(r#"CMD ["a", "b c"]"#), Instruction::Cmd(Command::Exec(vec!["a".into(), "b c".into()])));
        assert_eq!(one("CMD a  b"), Instruction::Cmd(Command::Shell("a  b".into())));
        assert_eq!(one("cmd ['a']"), Instruction::Cmd(Command::Shell("['a']".into())), "not JSON, so a shell's");
        assert_eq!(
            one("RUN [ -f x ] && y"),
            Instruction::Run {
                command: Command::Shell("[ -f x ] && y".into()),
                heredocs: vec![],
                mounts: vec![],
                is_offline: false,
            }
        );
    }

    #[test]
    fn copies_have_flags_and_several_sources() {
        let Instruction::Copy(copy) = one("COPY --from=build --chown=a:b --chmod=755 a b/*.x /to/") else {
            panic!("a copy")
        };
        assert_eq!(
            (copy.from.as_deref(), copy.chown.as_deref(), copy.chmod.as_deref()),
            (Some("build"), Some("a:b"), Some("755"))
        );
        assert_eq!(copy.sources, [Source::Path("a".into()), Source::Path("b/*.x".into())]);
        let Instruction::Copy(copy) = one(r#"ADD ["with space", "/to"]"#) else { panic!("a copy") };
        assert_eq!(
            (copy.add, copy.sources, copy.dest),
            (true, vec![Source::Path("\"with space\"".into())], "/to".into())
        );
    }

    #[test]
    fn pairs_and_args() {
        assert_eq!(
            one("ENV a=b c=\"d e\""),
            Instruction::Env(vec![("a".into(), "b".into()), ("c".into(), "\"d e\"".into())])
        );
        assert_eq!(one("ENV name some value"), Instruction::Env(vec![("name".into(), "some value".into())]));
        assert_eq!(one("ARG a b=1"), Instruction::Arg(vec![("a".into(), None), ("b".into(), Some("1".into()))]));
    }

    #[test]
    fn health_checks() {
        let expected = Healthcheck::Command {
            command: Command::Shell("curl -f x".into()),
            interval: 90_000_000_000,
            timeout: 500_000_000,
            start_period: 0,
            start_interval: 0,
            retries: 3,
        };
        assert_eq!(
            one("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x"),
            Instruction::Healthcheck(expected)
        );
        assert_eq!(one("HEALTHCHECK NONE"), Instruction::Healthcheck(Healthcheck::None));
        assert!(duration("5").is_err() && duration("x").is_err() && duration("1y").is_err() && duration("").is_err());
    }

    #[test]
    fn stages_are_found_by_name_and_number() {
        let file = parse("ARG v=1\nFROM a:$v AS Build\nFROM --platform=linux/amd64 b\nFROM build").expect("valid");
        assert_eq!(file.globals, [(1, "v".into(), Some("1".into()))]);
        assert_eq!(file.source("build", 2), StageSource::Stage(0));
        assert_eq!(file.source("1", 2), StageSource::Stage(1));
        assert_eq!(file.source("2", 2), StageSource::Image, "a stage cannot copy from itself");
        assert_eq!(file.source("nginx", 2), StageSource::Image);
        assert_eq!(file.stages[1].platform.as_deref(), Some("linux/amd64"));
    }

    #[test]
    fn mutilated_files_never_panic() {
        let good = "# escape=`\nARG a=1\nFROM x:${a:-2} AS b\nRUN <<E `\n c\nd\nE\nCOPY --from=b --chown=1:2 [\"a b\", \"$c\"]\nENV q='w e' r=\"t\"\n\
            HEALTHCHECK --interval=1m5s CMD [\"x\"]\nEXPOSE 80-90/udp\nSHELL [\"a\"]\nLABEL é=ü\n";
        let chars: Vec<char> = good.chars().collect();
        for at in 0..chars.len() {
            for with in ['"', '\'', '\\', '`', '$', '{', '\n', '<', '[', 'é', '\0'] {
                let mut changed = chars.clone();
                changed[at] = with;
                if let Ok(file) = parse(&changed.iter().collect::<String>()) {
                    for stage in &file.stages {
                        let _ = words::expand(&stage.text, file.escape, &|_| Some("v".into()));
                    }
                }
            }
            let _ = parse(&chars[..at].iter().collect::<String>());
        }
    }

    #[test]
    fn mistakes_have_their_line() {
        assert_eq!(error("FROM a\n\n# x\nFOO b"), "Dockerfile:4: unknown instruction FOO");
        assert_eq!(
            error("FROM a\nONBUILD ONBUILD RUN x"),
            "Dockerfile:2: ONBUILD is not allowed as an ONBUILD trigger"
        );
        assert_eq!(error("FROM a\nONBUILD COPY x"), "Dockerfile:2: COPY needs a source and a destination");
        assert_eq!(
            error("FROM a\nRUN --mount=type=ssh y"),
            "Dockerfile:2: --mount=type=ssh is not supported: bind, cache, tmpfs or secret"
        );
        assert_eq!(error("FROM a\nRUN --network=lan y"), "Dockerfile:2: RUN --network=lan is not supported");
        assert_eq!(error("RUN x"), "Dockerfile:1: RUN before the first FROM: only ARG may stand there");
        assert_eq!(error(""), "Dockerfile:1: there is no FROM");
        for wrong in [
            "FROM",
            "FROM a b",
            "FROM a AS 1x",
            "FROM a\nCOPY x",
            "FROM a\nENV",
            "FROM a\nENV x",
            "FROM a\nADD https://x/y.git /y",
            "FROM a\nADD --checksum=sha256:0 x /y",
            "FROM a\nRUN --mount=type=cache,target=/x",
            "FROM a\nSHELL sh",
            "FROM a\nHEALTHCHECK CMD",
            "FROM a\nARG 1=2",
            "FROM a\nCOPY --parents a b",
        ] {
            error(wrong);
        }
    }
}
