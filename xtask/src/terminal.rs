//! What a person reads: few colours, none where there is no terminal.

use std::io::IsTerminal;

fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn styled(code: &str, text: &str) -> String {
    if colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

pub fn bold(text: &str) -> String {
    styled("1", text)
}

pub fn dim(text: &str) -> String {
    styled("2", text)
}

pub fn green(text: &str) -> String {
    styled("32", text)
}

/// The beginning of a step.
pub fn step(text: &str) {
    println!("\n{} {}", green("●"), bold(text));
}

/// A sentence within a step.
pub fn note(text: &str) {
    println!("  {text}");
}

pub fn failure(text: &str) {
    eprintln!("\n{} {text}", styled("31", "✗"));
}
