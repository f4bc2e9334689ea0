//! What setup does without a server: prints the calls of the roles, writes everything as files.

use std::path::PathBuf;

use clap::Args;

use super::calls::{self, Call};
use super::export;
use crate::cli::Output;
use crate::config::Installation;
use crate::elasticsearch::setup::Choices;

#[derive(Args, Debug)]
#[group(multiple = false, conflicts_with_all = ["dry_run", "guard_auto_create", "install_roles", "reset_ilm", "kibana"])]
pub(super) struct InsteadArguments {
    /// Only writes everything that would be sent into DIR, one file a call, with a README that names the calls; DIR is
    /// made, or empty unless --force
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Only prints the calls that make the roles of shipper, installer and reader
    #[arg(long)]
    print_roles: bool,
    /// Only prints the call that makes an API key with the rights of the shipper; the field `encoded` of its answer is
    /// FLOWSHIP_ELASTICSEARCH_API_KEY
    #[arg(long)]
    print_api_key_call: bool,
}

impl InsteadArguments {
    /// Whether there is anything of this to do.
    pub(super) fn is_any(&self) -> bool {
        self.export.is_some() || self.print_roles || self.print_api_key_call
    }

    pub(super) fn run(
        &self,
        installation: &Installation,
        choices: &Choices,
        json: bool,
    ) -> anyhow::Result<()> {
        if let Some(folder) = &self.export {
            return export::write(folder, installation, choices);
        }
        let calls: Vec<Call> = match self.print_roles {
            true => calls::roles(installation),
            false => calls::api_key(installation).into_iter().collect(),
        };
        let mut output = Output::new();
        if json {
            output.line(serde_json::to_string_pretty(&calls)?)?;
        } else {
            for call in calls {
                output.line(call)?;
            }
        }
        Ok(())
    }
}
