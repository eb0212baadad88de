//! `.dockerignore`: which files of the context a build does not see.

use std::path::Path;

use super::pattern::Pattern;

/// The rules, in order; the last one that matches counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    rules: Vec<(Pattern, bool)>,
}

impl Ignore {
    /// Parses the file's text. `!` brings back what an earlier rule took away.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (line, back) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line, false),
            };
            let parts: Vec<&str> = line.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            if !parts.is_empty() {
                rules.push((Pattern::new(&parts.join("/"))?, back));
            }
        }
        Ok(Self { rules })
    }

    /// True if `path`, relative to the context, is ignored: by itself or with a directory it lies in.
    pub fn ignores(&self, path: &Path) -> bool {
        let Some(path) = path.to_str() else { return false };
        let mut ignored = false;
        for (pattern, back) in &self.rules {
            let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
            if ignored == *back && parents.chain([path]).any(|prefix| pattern.matches(prefix)) {
                ignored = !back;
            }
        }
        ignored
    }

    /// True if something below an ignored directory may be brought back.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|(_, back)| *back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_counts_and_directories_take_their_content_along() {
        let ignore =
            Ignore::parse("# comment\n\nnode_modules\n/target/\n*.md\n!README.md\n**/*.o\ndocs/*\n!docs/keep/\n")
                .expect("valid");
        for path in ["node_modules", "node_modules/a/b", "target/x", "a.md", "x.o", "a/b/x.o", "docs/x"] {
            assert!(ignore.ignores(Path::new(path)), "{path}");
        }
        for path in ["README.md", "a/b.md", "src/main.rs", "docs", "docs/keep/x", "a/node_modules"] {
            assert!(!ignore.ignores(Path::new(path)), "{path}");
        }
        assert!(ignore.has_exceptions());
        assert!(!Ignore::default().ignores(Path::new("x")));
    }
}
