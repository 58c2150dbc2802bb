"""The database with its subnets and parameters."""

from . import describes


@describes("AWS::RDS::DBSubnetGroup")
def subnets(client, physical_id, properties):
    found, = client("rds").describe_db_subnet_groups(DBSubnetGroupName=physical_id)["DBSubnetGroups"]
    return found | {"SubnetIds": [each["SubnetIdentifier"] for each in found["Subnets"]]}


@describes("AWS::RDS::DBParameterGroup")
def parameters(client, physical_id, properties):
    rds = client("rds")
    found, = rds.describe_db_parameter_groups(DBParameterGroupName=physical_id)["DBParameterGroups"]
    values = rds.describe_db_parameters(DBParameterGroupName=physical_id, Source="user")["Parameters"]
    return found | {"Family": found["DBParameterGroupFamily"],
                    "Parameters": {each["ParameterName"]: each.get("ParameterValue") for each in values}}


@describes("AWS::RDS::DBInstance")
def instance(client, physical_id, properties):
    rds = client("rds")
    found, = rds.describe_db_instances(DBInstanceIdentifier=physical_id)["DBInstances"]
    group = found.get("DBSubnetGroup") or {}
    return found | {
        "DBSubnetGroupName": group.get("DBSubnetGroupName"),
        "VPCSecurityGroups": [each["VpcSecurityGroupId"] for each in found.get("VpcSecurityGroups", [])],
        "DBParameterGroupName": next((each["DBParameterGroupName"] for each in found.get("DBParameterGroups", [])), None),
        "EnableIAMDatabaseAuthentication": found.get("IAMDatabaseAuthenticationEnabled"),
        "EnableCloudwatchLogsExports": found.get("EnabledCloudwatchLogsExports"),
        "EnablePerformanceInsights": found.get("PerformanceInsightsEnabled"),
        "ManageMasterUserPassword": "MasterUserSecret" in found,
        "Tags": found.get("TagList"),
    }
