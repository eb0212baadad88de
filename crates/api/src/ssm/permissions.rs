//! What each operation of the Parameter Store needs (Service Authorization Reference, "AWS Systems Manager").

use super::names;
use crate::identity::Resources::{Any, Each};
use crate::identity::{Ask, Permission, Resources, on};
use longshore_policy::Values;
use longshore_types::arn::Arn;

macro_rules! ssm {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("ssm:", $operation), $resources)
    };
}

const PARAMETER: Resources = Each(parameter);

pub const PERMISSIONS: &[Permission] = &[
    ssm!("AddTagsToResource", Each(tagged)),
    ssm!("DeleteParameter", PARAMETER),
    ssm!("DeleteParameters", PARAMETER),
    ssm!("DescribeParameters", Any),
    ssm!("GetParameter", PARAMETER),
    ssm!("GetParameterHistory", PARAMETER),
    ssm!("GetParameters", PARAMETER),
    ssm!("GetParametersByPath", PARAMETER),
    ssm!("LabelParameterVersion", PARAMETER),
    ssm!("ListTagsForResource", Each(tagged)),
    ssm!("PutParameter", PARAMETER),
    on("PutParameter", "ssm:AddTagsToResource", Each(tagged_parameter)),
    ssm!("RemoveTagsFromResource", Each(tagged)),
    ssm!("UnlabelParameterVersion", PARAMETER),
];

/// `ssm:Overwrite` and its kind: members of the request, each under its own name.
pub fn context<'a>(ask: &Ask<'a>, name: &str) -> Option<Values<'a>> {
    let member = ["Overwrite", "Policies", "Recursive"].into_iter().find(|member| member.eq_ignore_ascii_case(name))?;
    ask.get(member).map(Values::one)
}

/// The ARN of a parameter that is there, else the one that is given; without the version or label that a request may add.
fn arn(ask: &Ask<'_>, given: &str) -> String {
    let scope = &ask.cx.scope;
    if let Some((name, _)) = names::find(ask.state, scope, given) {
        return names::arn(scope, &name);
    }
    let whole = match Arn::parse(given) {
        Some(_) => given.to_owned(),
        None => names::arn(scope, given),
    };
    match whole.split_once(":parameter") {
        Some((head, name)) => format!("{head}:parameter{}", name.split(':').next().unwrap_or_default()),
        None => whole,
    }
}

fn parameter(ask: &Ask<'_>) -> Vec<String> {
    ["Name", "Names", "Path"].into_iter().flat_map(|path| ask.all(path)).map(|name| arn(ask, name)).collect()
}

fn tagged(ask: &Ask<'_>) -> Vec<String> {
    ask.all("ResourceId").map(|name| arn(ask, name)).collect()
}

fn tagged_parameter(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("Tags.Key").is_some() { parameter(ask) } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fixture, asked};
    use longshore_aws_model::ssm::{GetParametersByPath, GetParametersByPathInput};

    #[test]
    fn a_path_is_asked_for_as_it_is_written() {
        let fixture = Fixture::new();
        for path in ["/prod", "/prod/", "/"] {
            let input = GetParametersByPathInput { path: path.to_owned(), ..Default::default() };
            let arn = format!("arn:aws:ssm:us-east-1:123456789012:parameter{path}");
            assert_eq!(asked::<GetParametersByPath>(&fixture, &input), [format!("ssm:GetParametersByPath {arn}")]);
        }
    }
}
