//! What stands under the flags in `flowctl setup --help`.

pub(super) const AFTER: &str = "\
Examples:
  flowctl setup --elasticsearch-url http://localhost:9200 --dry-run
      shows what an installation would do, and changes nothing
  flowctl setup --elasticsearch-url https://es-1:9200 https://es-2:9200
      installs; a second run finds everything unchanged
  flowctl setup --delete-after 90 --store sorted
      keeps flows for 90 days; new indices 8 % smaller, for a quarter more CPU
  flowctl setup --kibana-url https://kibana:5601 --kibana-space net-ops
      installs the dashboards, saved searches and alert rules, too
  flowctl setup --print-api-key-call
      what an administrator pastes into Kibana's console for the function's key
  flowctl setup --export setup-files
      writes files for Terraform, Ansible or curl

Outcomes: created, changed, unchanged; skipped (with the reason: no ILM, or a lifecycle policy changed by hand); kept \
(changed by hand in Kibana); refused (somebody's work would be lost, or a rule could not read the indices); failed; \
pending (what comes after a failure; another run goes on there). A dry run says would create and would change, and so \
does a run that refuses anything, because it changes nothing.

Changed by hand: every part carries a hash of itself. Where the server's part no longer fits its hash, somebody changed \
it, and setup stops before it changes anything and shows the differences; so it does where a part of that name is not \
flowship's, or a newer flowship's. --force overwrites all of them. A lifecycle policy that was changed by hand is kept \
and stops nothing, unless an age is asked for: then --force sets that age in it, and nothing else. In Kibana, what \
somebody changed is kept, and the rest is installed; the actions of a rule, and whether it is on, always stay.

Templates of others: an index template whose patterns meet ours and whose priority is not lower stops setup before it \
changes anything, because Elasticsearch would refuse ours or never apply it. With --force setup goes on all the same.

Your own index settings and mappings belong into the component templates <prefix>-vpc-custom, <prefix>-tgw-custom and \
<ledger>-custom (flowlogs-vpc-custom, flowlogs-tgw-custom and flowship-ledger-custom), which setup never touches and \
which win over the installed ones (but for what --store sets). Indices have one replica where there is a second data \
node (auto_expand_replicas 0-1, because ILM waits for a replica that has no place); a number of your own takes \
auto_expand_replicas: false beside number_of_replicas.

Existing indices stay as they are; templates and stores are for new ones, which begin with the next day of flows.

--guard-auto-create: if somebody deletes a template, the next day's index would be made without it: without mappings, \
never deleted, and no dashboard would understand it. With the guard Elasticsearch refuses such an index, the function's \
messages wait in the queue or the dead-letter queue, and nothing is lost. What denies the patterns of the templates \
(-<prefix>-vpc-*, -<prefix>-tgw-*, -<ledger>-*) is put in front of what action.auto_create_index has; who sets it back \
removes the guard.

Rights: the cluster privileges manage_index_templates and manage_ilm, and manage on the indices, with which \
Elasticsearch carries out the lifecycle policy; that is the role <prefix>-installer of --print-roles. \
--guard-auto-create needs manage, --install-roles manage_security.

Kibana takes the rights to manage saved objects and rules. Rules go on running with the rights of who installed them: \
they need the role <prefix>-reader in addition, and are refused without it. Installed with an API key, they stop when \
that key expires or is invalidated. Two installations in one Kibana need a space each (and a Kibana each, where it \
gives the objects of a second space other ids, which setup tells); the data views of another installation are taken \
over only with --force.

Credentials, for Kibana too, and the file of a private CA come from FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and \
_PASSWORD, _SECRET_ARN, _SECRET_FILE and _CA_FILE.

Exit codes: 0 done, 1 failed or refused (stderr says why), 2 wrong command line.";
