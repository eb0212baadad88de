//! What the fuzz targets reach of builds and nobody else needs.

use std::path::Path;

use super::ignore::Ignore;
use super::instruction::{self, Instruction};
use super::pattern::Pattern;
use super::{settings, words};

/// Parses a Dockerfile, and whatever can be read of its instructions without a file or a command. Returns how many there
/// are and the workdir they end in; every `ENV` is expanded with those before it.
pub fn dockerfile(text: &str) -> Option<(usize, String)> {
    let file = instruction::parse(text).ok()?;
    let (mut steps, mut env, mut workdir) = (0, Vec::new(), "/".to_owned());
    for (number, stage) in file.stages.iter().enumerate() {
        for step in &stage.steps {
            steps += 1;
            let known = env.clone();
            let expand = |text: &str| {
                words::expand(text, file.escape, &|name| settings::get_env(&known, name).map(str::to_owned))
            };
            match &step.instruction {
                Instruction::Env(pairs) => {
                    for (name, value) in pairs {
                        if let (Ok(name), Ok(value)) = (expand(name), expand(value))
                            && name.len() + value.len() < 4096
                        {
                            settings::set_env(&mut env, &name, &value);
                        }
                    }
                }
                Instruction::Workdir(path) => {
                    if let Ok(path) = expand(path) {
                        workdir = settings::join_workdir(&workdir, &path);
                    }
                }
                Instruction::Run { mounts, .. } => {
                    for mount in mounts {
                        let _ = mount.read(&workdir, &expand);
                    }
                }
                Instruction::Copy(copy) => {
                    let _ = copy.from.as_deref().map(|from| file.source(from, number));
                }
                Instruction::Onbuild(text) => {
                    let _ = instruction::parse_trigger(text, step.line, file.escape);
                }
                _ => {}
            }
        }
    }
    Some((steps, workdir))
}

/// Expands a text with the one variable `name`.
pub fn expand(text: &str, name: &str, value: &str) -> Result<String, String> {
    words::expand(text, '\\', &|asked| (asked == name).then(|| value.to_owned()))
}

/// The words of a line, with their quotes.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    words::split(text, '\\')
}

/// Whether a `.dockerignore` hides a path; `None` if it is none.
pub fn ignores(file: &str, path: &str) -> Option<bool> {
    Ignore::parse(file).ok().map(|ignore| ignore.ignores(Path::new(path)))
}

/// Whether a pattern of COPY describes a path; `None` if it is none.
pub fn path_matches(pattern: &str, path: &str) -> Option<bool> {
    Pattern::new(pattern).ok().map(|pattern| pattern.matches(path))
}
