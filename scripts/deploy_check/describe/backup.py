"""Vaults and plans of backups."""

from . import describes


@describes("AWS::Backup::BackupVault")
def vault(client, physical_id, properties):
    found = client("backup").describe_backup_vault(BackupVaultName=physical_id)
    lock = {key: found[key] for key in ("MinRetentionDays", "MaxRetentionDays") if key in found}
    return found | {"LockConfiguration": lock or None}


@describes("AWS::Backup::BackupPlan")
def plan(client, physical_id, properties):
    found = client("backup").get_backup_plan(BackupPlanId=physical_id)["BackupPlan"]
    rules = [{key: value for key, value in rule.items() if key != "TargetBackupVaultName"}
             | {"TargetBackupVault": rule["TargetBackupVaultName"],
                "StartWindowMinutes": rule.get("StartWindowMinutes"),
                "CompletionWindowMinutes": rule.get("CompletionWindowMinutes")} for rule in found.get("Rules", [])]
    return {"BackupPlan": {"BackupPlanName": found["BackupPlanName"], "BackupPlanRule": rules}}
