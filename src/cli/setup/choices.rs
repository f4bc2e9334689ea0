//! The flags that decide what is installed.

use clap::{Args, ValueEnum};

use crate::elasticsearch::setup::{Age, Ages, Choices, Store};

/// What whoever installs decides.
#[derive(Args, Debug)]
pub(super) struct ChoiceArguments {
    /// How new indices are stored, with the server's CPU a million records and bytes a document [default: as on the
    /// server, else standard]
    #[arg(long, value_enum, value_name = "PROFILE")]
    store: Option<Profile>,
    /// Days after which an index is merged and moves to warm nodes, or `never` [default: as on the server, else 2]
    #[arg(long, value_name = "DAYS|never")]
    warm_after: Option<Age>,
    /// Days after which an index moves to cold nodes, or `never` [default: as on the server, else never]
    #[arg(long, value_name = "DAYS|never")]
    cold_after: Option<Age>,
    /// Days after which an index is deleted, or `never` [default: as on the server, else 400]; they count from the
    /// day in the index's name, and a shorter age deletes what is older within minutes
    #[arg(long, value_name = "DAYS|never")]
    delete_after: Option<Age>,
    /// Has the cluster refuse indices of these names while their template is missing: extends the lasting cluster
    /// setting action.auto_create_index; needs the cluster privilege manage
    #[arg(long)]
    guard_auto_create: bool,
    /// Installs the roles of shipper, installer and reader, too; needs the cluster privilege manage_security
    #[arg(long)]
    install_roles: bool,
    /// Replaces a lifecycle policy that was changed by hand; without it such a policy is kept, also with --force. One
    /// that is not flowship's, or a newer flowship's, takes --force, too
    #[arg(long)]
    reset_ilm: bool,
    /// Overwrites parts that somebody changed by hand, and parts of these names that are not flowship's or a newer
    /// flowship's; without it any such part stops setup before it changes anything
    #[arg(long)]
    force: bool,
}

impl ChoiceArguments {
    pub(super) fn read(&self) -> Choices {
        Choices {
            ages: Ages {
                warm: self.warm_after,
                cold: self.cold_after,
                delete: self.delete_after,
            },
            store: self.store.map(Store::from),
            guard_auto_create: self.guard_auto_create,
            install_roles: self.install_roles,
            reset_ilm: self.reset_ilm,
            force: self.force,
        }
    }
}

/// A way to store documents, with the figures of [`Store`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// as documents come: 43 s, 236 bytes
    Standard,
    /// sorted by network interface, then time: 54 s, 217 bytes
    Sorted,
    /// sorted, in Elasticsearch's mode for logs: 57 s, 157 bytes; 209 if the licence lacks synthetic source
    Logsdb,
}

impl From<Profile> for Store {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Standard => Self::Standard,
            Profile::Sorted => Self::Sorted,
            Profile::Logsdb => Self::Logsdb,
        }
    }
}
