"""Rules for the copies in the second region."""

from ..template import put, remove
from . import rule
from .data import lifecycle_problems, locked


@rule(remove("Vault.LockConfiguration"), put("Vault.LockConfiguration.MinRetentionDays", 1),
      remove("Vault.LockConfiguration.ChangeableForDays"), remove("Vault.EncryptionKeyArn"), remove("Vault"))
def copies_of_backups_cannot_be_deleted(stack):
    vaults = stack.of_type("AWS::Backup::BackupVault")
    if len(vaults) != 1:
        yield "there is no vault"
    for name, properties in vaults:
        yield from locked(name, properties)


@rule(remove("Results.LifecycleConfiguration"), remove("Results.LifecycleConfiguration.Rules.0"),
      put("Results.LifecycleConfiguration.Rules.1.NoncurrentVersionExpiration.NoncurrentDays", "1"),
      put("Results.LifecycleConfiguration.Rules.+", {"Id": "old", "Status": "Enabled", "ExpirationInDays": 30}))
def replicas_keep_versions_as_long_as_the_first_region(stack):
    yield from lifecycle_problems("Results", stack.resources["Results"]["Properties"])
