//! The parameters as flags of a command.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PossibleValuesParser};
use serde_json::Value;

use super::{
    kind::Kind,
    parameter::{Parameter, parameters},
};

/// The texts that were given, by the name of the flag. Not more than texts,
/// since the errors of all sources are told in the same way.
#[derive(Clone, Debug, Default)]
pub struct Flags(BTreeMap<String, Vec<String>>);

impl Flags {
    /// By the name of the flag, the texts that were given.
    pub const fn texts(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(parameters().iter().filter_map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for flag in parameters()
            .iter()
            .filter_map(|parameter| parameter.flag.as_ref())
        {
            if let Some(texts) = matches.get_many::<String>(flag) {
                self.0.insert(flag.clone(), texts.cloned().collect());
            }
        }
        Ok(())
    }
}

fn argument(parameter: &'static Parameter) -> Option<Arg> {
    let flag = parameter.flag.as_deref()?;
    let mut argument = Arg::new(flag)
        .long(flag)
        .help(help(parameter))
        .help_heading(parameter.heading.as_str())
        .value_name(parameter.value_name.as_str())
        .action(ArgAction::Set);
    if let Some(short) = parameter.short {
        argument = argument.short(short);
    }
    if let Some(words) = parameter.kind.words() {
        argument = argument
            .value_parser(PossibleValuesParser::new(words))
            .ignore_case(true);
    }
    Some(match parameter.kind {
        Kind::List(_) => argument.action(ArgAction::Append).value_delimiter(','),
        Kind::Map => argument.action(ArgAction::Append),
        Kind::Switch => argument.num_args(0..=1).default_missing_value("true"),
        _ => argument,
    })
}

fn help(parameter: &Parameter) -> String {
    let default = match &parameter.default {
        Value::Null => String::new(),
        value if super::show(value).is_empty() => String::new(),
        value => format!(" [default: {}]", super::show(value)),
    };
    format!(
        "{}{default} [key: {}] [env: {}]",
        parameter.about, parameter.key, parameter.env
    )
}
