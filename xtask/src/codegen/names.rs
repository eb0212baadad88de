//! From the models' names to Rust's.

/// `enableECSManagedTags` to `enable_ecs_managed_tags`, `ResourceARNs` to `resource_arns`, `Ipv6Cidr` to `ipv6_cidr`.
pub fn snake(name: &str) -> String {
    // Words that look like two.
    let name = name.replace("IPv", "Ipv").replace("GiB", "Gib").replace("MiB", "Mib");
    let c: Vec<char> = name.chars().collect();
    let upper = |i: usize| c.get(i).is_some_and(char::is_ascii_uppercase);
    let mut out = String::new();
    for (i, ch) in c.iter().enumerate() {
        if !ch.is_ascii_alphanumeric() {
            out.push('_');
            continue;
        }
        if upper(i) && i > 0 && c[i - 1] != '_' && c[i - 1] != '-' {
            // The plural `s` of an acronym belongs to it.
            let plural = c.get(i + 1) == Some(&'s') && (i + 2 == c.len() || upper(i + 2)) && upper(i - 1);
            let starts_word = c.get(i + 1).is_some_and(char::is_ascii_lowercase) && !plural;
            if !upper(i - 1) || starts_word {
                out.push('_');
            }
        }
        out.push(ch.to_ascii_lowercase());
    }
    out
}

/// [`snake`], usable as a field's name.
pub fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "self" | "super" | "crate" => format!("{name}_"),
        "as" | "async" | "await" | "break" | "const" | "continue" | "dyn" | "else" | "enum" | "extern" | "false"
        | "fn" | "for" | "gen" | "if" | "impl" | "in" | "let" | "loop" | "match" | "mod" | "move" | "mut" | "pub"
        | "ref" | "return" | "static" | "struct" | "trait" | "true" | "type" | "unsafe" | "use" | "where" | "while"
        | "abstract" | "become" | "box" | "do" | "final" | "macro" | "override" | "priv" | "try" | "typeof"
        | "unsized" | "virtual" | "yield" => format!("r#{name}"),
        _ => name,
    }
}

/// A static's name.
pub fn screaming(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// A type's name; names of the prelude get a suffix.
pub fn pascal(name: &str) -> String {
    let mut c = name.chars();
    let name = match c.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + c.as_str(),
        None => String::new(),
    };
    match name.as_str() {
        "Box" | "Option" | "Result" | "String" | "Vec" | "Default" | "Clone" | "Debug" | "Ok" | "Err" | "Some"
        | "None" | "Schema" | "Operation" | "Timestamp" | "Document" | "BTreeMap" => format!("{name}Shape"),
        _ => name,
    }
}

/// The first letter large, as EC2 wants it in forms.
pub fn capitalised(name: &str) -> String {
    let mut c = name.chars();
    c.next().map(|f| f.to_uppercase().to_string() + c.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acronyms_and_digits_stay_words() {
        for (name, want) in [
            ("enableECSManagedTags", "enable_ecs_managed_tags"),
            ("ResourceARNs", "resource_arns"),
            ("Ipv6CidrBlock", "ipv6_cidr_block"),
            ("DNSName", "dns_name"),
            ("IsDefault", "is_default"),
            ("vpcId", "vpc_id"),
            ("sizeInGiB", "size_in_gib"),
        ] {
            assert_eq!(snake(name), want);
        }
        assert_eq!(field("type"), "r#type");
    }
}
