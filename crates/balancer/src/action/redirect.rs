//! `redirect`: a location built from the request through `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
//!
//! `#{path}` has no leading slash, so that the default path is `/#{path}`. The port is always written, as
//! AWS does, and the question mark only when the query is not empty.

use http::{HeaderValue, StatusCode};

/// A compiled redirect.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub status: StatusCode,
    protocol: Template,
    host: Template,
    port: Template,
    path: Template,
    query: Template,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// `http` or `https`.
    pub protocol: &'a str,
    pub host: &'a str,
    pub port: u16,
    /// With its leading slash.
    pub path: &'a str,
    pub query: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Protocol,
    Host,
    Port,
    Path,
    Query,
}

#[derive(Debug)]
struct Template(Vec<Piece>);

/// The five components as configured; absent ones mean "as in the request".
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Components<'a> {
    pub protocol: Option<&'a str>,
    pub host: Option<&'a str>,
    pub port: Option<&'a str>,
    pub path: Option<&'a str>,
    pub query: Option<&'a str>,
}

impl Redirect {
    pub(crate) fn compile(status: StatusCode, components: Components<'_>) -> Redirect {
        Redirect {
            status,
            protocol: Template::compile(components.protocol.unwrap_or("#{protocol}")),
            host: Template::compile(components.host.unwrap_or("#{host}")),
            port: Template::compile(components.port.unwrap_or("#{port}")),
            path: Template::compile(components.path.unwrap_or("/#{path}")),
            query: Template::compile(components.query.unwrap_or("#{query}")),
        }
    }

    /// The `Location`; `None` when the request brings bytes no header may hold.
    pub(crate) fn location(&self, origin: &Origin<'_>) -> Option<HeaderValue> {
        let mut location = String::with_capacity(128);
        self.protocol.render(origin, &mut location);
        location.make_ascii_lowercase();
        location.push_str("://");
        self.host.render(origin, &mut location);
        location.push(':');
        self.port.render(origin, &mut location);
        self.path.render(origin, &mut location);
        let before_query = location.len();
        location.push('?');
        self.query.render(origin, &mut location);
        if location.len() == before_query + 1 {
            location.truncate(before_query);
        }
        HeaderValue::try_from(location).ok()
    }
}

impl Template {
    fn compile(text: &str) -> Template {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("#{") {
            let Some(length) = rest[start..].find('}') else { break };
            let piece = match &rest[start + 2..start + length] {
                "protocol" => Piece::Protocol,
                "host" => Piece::Host,
                "port" => Piece::Port,
                "path" => Piece::Path,
                "query" => Piece::Query,
                unknown => Piece::Text(format!("#{{{unknown}}}")),
            };
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            pieces.push(piece);
            rest = &rest[start + length + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Template(pieces)
    }

    fn render(&self, origin: &Origin<'_>, out: &mut String) {
        use std::fmt::Write;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Protocol => out.push_str(origin.protocol),
                Piece::Host => out.push_str(origin.host),
                Piece::Port => write!(out, "{}", origin.port).expect("a String takes every write"),
                Piece::Path => out.push_str(origin.path.strip_prefix('/').unwrap_or(origin.path)),
                Piece::Query => out.push_str(origin.query.unwrap_or("")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(components: Components<'_>, path: &str, query: Option<&str>) -> String {
        let origin = Origin { protocol: "http", host: "example.com", port: 80, path, query };
        let redirect = Redirect::compile(StatusCode::FOUND, components);
        redirect.location(&origin).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn https_upgrade_keeps_host_path_and_query() {
        let components = Components { protocol: Some("HTTPS"), port: Some("443"), ..Components::default() };
        assert_eq!(check(components, "/a/b", Some("x=1")), "https://example.com:443/a/b?x=1");
        assert_eq!(check(components, "/", None), "https://example.com:443/");
    }

    #[test]
    fn every_placeholder_is_replaced_and_unknown_ones_stay() {
        let components = Components {
            host: Some("www.#{host}"),
            path: Some("/#{host}/#{port}/#{path}/#{nope}"),
            query: Some("#{query}&value=xyz"),
            ..Components::default()
        };
        assert_eq!(
            check(components, "/p", Some("q")),
            "http://www.example.com:80/example.com/80/p/#{nope}?q&value=xyz"
        );
    }
}
