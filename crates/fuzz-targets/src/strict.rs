//! A second reader of HTTP/1, as pedantic as RFC 9112 lets one be, for what the balancer lets through.

/// A message as the strict reader sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Request or status line.
    pub start: Vec<u8>,
    /// Names in lower case, values trimmed.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// False where the bytes end inside the body.
    pub is_complete: bool,
}

impl Message {
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(own, _)| own == name.as_bytes()).map(|(_, value)| &value[..])
    }
}

/// Every request of a stream. `Err` says what two readers could disagree about.
pub(crate) fn requests(mut bytes: &[u8]) -> Result<Vec<Message>, String> {
    let mut all = Vec::new();
    loop {
        // Empty lines before a request line are to be skipped (RFC 9112, 2.2).
        while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = bytes {
            bytes = rest;
        }
        if bytes.is_empty() {
            return Ok(all);
        }
        let (message, rest) = message(bytes)?;
        let is_complete = message.is_complete;
        all.push(message);
        if !is_complete {
            return Ok(all);
        }
        bytes = rest;
    }
}

/// The message at the front. Its length is in its head: a body up to the end of the stream is not read.
pub(crate) fn message(bytes: &[u8]) -> Result<(Message, &[u8]), String> {
    let (mut message, rest) = head(bytes)?;
    let lengths: Vec<&[u8]> = message.values("content-length").collect();
    let encodings: Vec<&[u8]> = message.values("transfer-encoding").collect();
    let (body, rest, is_complete) = match (&lengths[..], &encodings[..]) {
        ([], []) => (Vec::new(), rest, true),
        (lengths, []) => {
            let length = length(lengths)?;
            let taken = rest.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            (rest[..taken].to_vec(), &rest[taken..], taken as u64 == length)
        }
        (_, [encoding]) if encoding.eq_ignore_ascii_case(b"chunked") => chunks(rest)?,
        (_, encodings) => return Err(format!("transfer encodings {}", show(&encodings.concat()))),
    };
    (message.body, message.is_complete) = (body, is_complete);
    Ok((message, rest))
}

fn head(bytes: &[u8]) -> Result<(Message, &[u8]), String> {
    let (start, mut rest) = line(bytes)?;
    let mut headers = Vec::new();
    loop {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            break;
        }
        if text[0] == b' ' || text[0] == b'\t' {
            return Err(format!("folded line {}", show(text)));
        }
        let colon = text.iter().position(|byte| *byte == b':').ok_or_else(|| format!("no header: {}", show(text)))?;
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return Err(format!("header name {}", show(name)));
        }
        if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(format!("header value {}", show(value)));
        }
        headers.push((name.to_ascii_lowercase(), value.to_vec()));
    }
    if start.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        return Err(format!("start line {}", show(start)));
    }
    Ok((Message { start: start.to_vec(), headers, body: Vec::new(), is_complete: false }, rest))
}

/// A line without its end. A lone newline ends one, too (RFC 9112, 2.2); a lone carriage return never.
fn line(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("a head that does not end")?;
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if text.contains(&b'\r') {
        return Err(format!("carriage return in {}", show(text)));
    }
    Ok((text, &bytes[end + 1..]))
}

/// One number, however often it is said.
fn length(values: &[&[u8]]) -> Result<u64, String> {
    let wrong = || format!("content length {}", show(&values.join(&b',')));
    // One header may hold a list (RFC 9110, 8.6).
    let values: Vec<&[u8]> =
        values.iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
    let first = values[0];
    if values.iter().any(|value| *value != first && number(value, 10) != number(first, 10)) {
        return Err(wrong());
    }
    number(first, 10).ok_or_else(wrong)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(|byte| char::from(*byte).is_digit(radix));
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok().filter(|_| is_number)
}

type Chunks<'a> = (Vec<u8>, &'a [u8], bool);

/// A chunked body up to and with its trailers. Lines end with CRLF alone here.
fn chunks(mut rest: &[u8]) -> Result<Chunks<'_>, String> {
    let mut body = Vec::new();
    loop {
        let Some((text, after)) = crlf_line(rest)? else { return Ok((body, &[], false)) };
        let size = text.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = text[..text.len().min(size.len())].eq(size).then(|| number_before_space(size)).flatten();
        let size = size.ok_or_else(|| format!("chunk size {}", show(text)))?;
        rest = after;
        if size == 0 {
            break;
        }
        let taken = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        body.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
        if (taken as u64) < size || rest.len() < 2 && b"\r\n".starts_with(rest) {
            return Ok((body, &[], false));
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("a chunk longer than its size")?;
    }
    loop {
        let Some((text, after)) = crlf_line(rest)? else { return Ok((body, &[], false)) };
        rest = after;
        if text.is_empty() {
            return Ok((body, rest, true));
        }
    }
}

/// `5`, or `5 anything`: the framer takes blanks after a size for the start of an extension.
fn number_before_space(size: &[u8]) -> Option<u64> {
    number(size.split(|byte| *byte == b' ' || *byte == b'\t').next().unwrap_or_default(), 16)
}

fn crlf_line(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>, String> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let text = bytes[..end].strip_suffix(b"\r").ok_or_else(|| format!("bare newline after {}", show(&bytes[..end])))?;
    Ok(Some((text, &bytes[end + 1..])))
}

fn show(bytes: &[u8]) -> String {
    format!("`{}`", bytes.escape_ascii())
}
