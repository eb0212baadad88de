//! Parameters that would be ignored are refused by name instead.

/// Given, and not the default: an empty list or `false` asks for nothing.
pub trait IsSet {
    fn is_set(&self) -> bool;
}

impl<T: Default + PartialEq> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.as_ref().is_some_and(|value| *value != T::default())
    }
}

/// `refuse!(input; pid_mode, ipc_mode)`: an error that names the first of them that is set, in the API's spelling.
macro_rules! refuse {
    ($input:expr; $($field:ident),* $(,)?) => {$(
        if $crate::ecs::unsupported::IsSet::is_set(&$input.$field) {
            return Err($crate::ecs::error::unsupported(&$crate::ecs::unsupported::camel_case(stringify!($field))));
        }
    )*};
}
pub(crate) use refuse;

/// Like [`refuse!`], for what AWS's Fargate refuses too, and in its words.
macro_rules! refuse_on_fargate {
    ($input:expr; $($field:ident),* $(,)?) => {$(
        if $crate::ecs::unsupported::IsSet::is_set(&$input.$field) {
            return Err($crate::ecs::error::not_on_fargate(&$crate::ecs::unsupported::camel_case(stringify!($field))));
        }
    )*};
}
pub(crate) use refuse_on_fargate;

/// `pid_mode` → `pidMode`.
pub fn camel_case(field: &str) -> String {
    let mut parts = field.split('_');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_not_set_and_names_are_the_apis() {
        assert!(!Some(false).is_set() && !Some(Vec::<String>::new()).is_set() && !None::<String>.is_set());
        assert!(Some("host".to_owned()).is_set());
        assert_eq!(camel_case("service_connect_configuration"), "serviceConnectConfiguration");
    }
}
