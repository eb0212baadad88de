//! What a build shows: steps with their times, and the commands' output below each.
//!
//! ```text
//! [1/4] FROM alpine:3
//! [2/4] RUN make                         (cached)
//! [3/4] RUN make install
//!       | cc -o app app.c
//!       done in 2.1 s
//! ```

use longshore_image::Image;
use longshore_image::build::BuildEvent;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A step that takes less is not worth a line.
const WORTH_TELLING: Duration = Duration::from_millis(500);
/// A longer instruction is cut; the Dockerfile has the rest.
const TEXT_MAX: usize = 160;

pub struct Output {
    colours: bool,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: Option<Instant>,
    steps: usize,
    cached: usize,
    /// The last output did not end its line.
    is_mid_line: bool,
}

impl Output {
    pub fn new() -> Self {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colours, began: Instant::now(), state: Mutex::default() }
    }

    pub fn show(&self, event: BuildEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            BuildEvent::Step { number, total, text, cached, .. } => {
                self.finish_step(&mut state);
                state.step = Some(Instant::now());
                state.steps += 1;
                state.cached += usize::from(cached);
                let end = if cached { self.dim("  (cached)") } else { String::new() };
                eprintln!("{} {}{end}", self.bold(&format!("[{number}/{total}]")), cut(text));
            }
            BuildEvent::Output { bytes, .. } => {
                let text = String::from_utf8_lossy(bytes);
                let mut out = std::io::stderr().lock();
                for piece in text.split_inclusive('\n') {
                    let start = if state.is_mid_line { "" } else { "      | " };
                    // A terminal that is gone is no reason to stop building.
                    let _ = write!(out, "{}", self.dim(&format!("{start}{piece}")));
                    state.is_mid_line = !piece.ends_with('\n');
                }
            }
            BuildEvent::Warning(text) => eprintln!("warning: {text}"),
        }
    }

    fn finish_step(&self, state: &mut State) {
        if std::mem::take(&mut state.is_mid_line) {
            eprintln!();
        }
        if let Some(took) = state.step.take().map(|began| began.elapsed()).filter(|took| *took >= WORTH_TELLING) {
            eprintln!("      {}", self.dim(&format!("done in {}", seconds(took))));
        }
    }

    /// The build is over, with this image.
    pub fn finish(&self, image: &Image) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.finish_step(&mut state);
        let megabytes = image.unpacked_bytes as f64 / 1e6;
        eprintln!(
            "built {} in {}: {megabytes:.1} MB in {} layers, {} of {} steps cached",
            image.id,
            seconds(self.began.elapsed()),
            image.chain.len(),
            state.cached,
            state.steps
        );
    }

    fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// An instruction on one line of bearable length.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
