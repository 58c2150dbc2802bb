"""Rules for the network: who can reach what."""

import ipaddress
from collections import defaultdict

from ..template import ACCOUNT, REGION, put, remove
from . import listed, rule, statements

TIERS = ("Worker", "Database", "Nat")
ANYWHERE = "0.0.0.0/0"
LOOPBACK = "127.0.0.1/32"
# Ports from which Linux opens connections.
EPHEMERAL = (32768, 65535)
# The endpoints without which a worker does not start or stops working.
NEEDED = {"s3", "sqs", "ecr.api", "ecr.dkr", "logs", "secretsmanager"}
# Services whose requests name no resource, or resources of any name.
WITHOUT_RESOURCES = {"ecr.api", "ecr.dkr", "monitoring", "sts", "ecs", "ssm", "ssmmessages"}


def subnets(stack, tier):
    return {name: properties for name, properties in stack.of_type("AWS::EC2::Subnet")
            if name.startswith(f"{tier}Subnet")}


def cidr_of(stack, tier):
    """Returns the smallest range with all subnets of a tier."""
    ranges = [ipaddress.ip_network(each["CidrBlock"]) for each in subnets(stack, tier).values()]
    common = ranges[0]
    while not all(each.subnet_of(common) for each in ranges):
        common = common.supernet()
    return str(common)


def service_of(properties):
    return properties["ServiceName"].removeprefix(f"com.amazonaws.{REGION}.")


@rule(remove("WorkerSubnetC"), put("WorkerSubnetB.AvailabilityZone", f"{REGION}a"),
      remove("WorkerSubnetB.AvailabilityZone"), put("WorkerSubnetA.MapPublicIpOnLaunch", True),
      put("WorkerSubnetA.CidrBlock", "10.40.16.0/20"))
def each_tier_has_three_zones_and_no_public_addresses(stack):
    ranges = []
    for tier in TIERS:
        found = subnets(stack, tier)
        if tier == "Nat" and not found and not stack.of_type("AWS::EC2::NatGateway"):
            continue
        if len({each["AvailabilityZone"] for each in found.values()}) != 3:
            yield f"{tier}: the subnets are not in three zones"
        for name, properties in found.items():
            if properties.get("MapPublicIpOnLaunch") is not False:
                yield f"{name}: addresses are public"
            ranges.append(ipaddress.ip_network(properties["CidrBlock"]))
    vpc = ipaddress.ip_network(stack.resources["Vpc"]["Properties"]["CidrBlock"])
    if any(a.overlaps(b) for a in ranges for b in ranges if a is not b) or not all(a.subnet_of(vpc) for a in ranges):
        yield "the ranges of the subnets overlap, or are outside the VPC"


@rule(remove("Vpc.EnableDnsHostnames"), put("Vpc.EnableDnsSupport", False))
def names_of_endpoints_resolve_to_private_addresses(stack):
    properties = stack.resources["Vpc"]["Properties"]
    if not (properties.get("EnableDnsSupport") is properties.get("EnableDnsHostnames") is True):
        yield "Vpc: private DNS needs EnableDnsSupport and EnableDnsHostnames"


@rule(remove("DatabaseAclOfB"), remove("WorkerRouteA"), put("DatabaseAclOfA.NetworkAclId", "${WorkerAcl}"),
      put("DatabaseRouteA.RouteTableId", "${WorkerRoutesA}"))
def each_subnet_has_the_acl_and_the_routes_of_its_tier(stack):
    for kind, key, suffix in (("AWS::EC2::SubnetNetworkAclAssociation", "NetworkAclId", "Acl"),
                              ("AWS::EC2::SubnetRouteTableAssociation", "RouteTableId", "Routes")):
        chosen = {each["SubnetId"]: each[key] for _, each in stack.of_type(kind)}
        for tier in TIERS:
            for name in subnets(stack, tier):
                if not chosen.get(f"${{{name}}}", "").startswith(f"${{{tier}{suffix}"):
                    yield f"{name}: {key} is not that of the tier {tier}"


@rule(put("WorkerRouteA.RouteTableId", "${DatabaseRoutes}"), remove("DatabaseRoutes.VpcId"),
      put("S3Endpoint.RouteTableIds.+", "${DatabaseRoutes}"))
def no_route_leaves_the_subnets_of_the_database(stack):
    for name, properties in stack.of_type("AWS::EC2::Route"):
        table = properties["RouteTableId"]
        target = "GatewayId" if table == "${NatRoutes}" else "NatGatewayId"
        if table == "${DatabaseRoutes}" or target not in properties:
            yield f"{name}: the subnets of {table} must not have this route"
    for name, properties in stack.of_type("AWS::EC2::RouteTable"):
        if properties.get("VpcId") != "${Vpc}":
            yield f"{name}: the route table is not in the VPC"
    for name, properties in stack.of_type("AWS::EC2::SubnetRouteTableAssociation"):
        if properties["RouteTableId"] == "${DatabaseRoutes}" and not properties["SubnetId"].startswith("${Database"):
            yield f"{name}: only the database has this route table"
    for name, properties in stack.of_type("AWS::EC2::VPCEndpoint"):
        if "${DatabaseRoutes}" in properties.get("RouteTableIds", []):
            yield f"{name}: the database needs no endpoint"


def rules_of_group(properties, direction):
    """Yields protocol, ports and peer of each rule of a security group."""
    for each in properties.get(f"SecurityGroup{direction}", []):
        peers = [each[key] for key in ("CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId",
                                       "SourcePrefixListId", "DestinationPrefixListId") if key in each]
        yield each.get("IpProtocol"), each.get("FromPort"), each.get("ToPort"), *peers


WORKERS = "${WorkerSecurityGroup.GroupId}"


@rule(put("DatabaseSecurityGroup.SecurityGroupIngress.+", {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
                                                           "CidrIp": "10.0.0.0/8"}),
      put("DatabaseSecurityGroup.SecurityGroupIngress.0.FromPort", 1),
      remove("DatabaseSecurityGroup.SecurityGroupIngress"),
      put("DatabaseSecurityGroup.SecurityGroupIngress.0.SourceSecurityGroupId", "${EndpointSecurityGroup.GroupId}"),
      remove("EndpointSecurityGroup.SecurityGroupIngress.0.ToPort"),
      put("WorkerSecurityGroup.SecurityGroupIngress", [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
                                                        "CidrIp": ANYWHERE}]),
      remove("WorkerSecurityGroup.VpcId"))
def only_workers_connect_to_the_database_and_the_endpoints(stack):
    expected = {
        "WorkerSecurityGroup": [],
        "DatabaseSecurityGroup": [("tcp", 5432, 5432, WORKERS)],
        "EndpointSecurityGroup": [("tcp", 443, 443, WORKERS)],
    }
    groups = dict(stack.of_type("AWS::EC2::SecurityGroup"))
    for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        for name, _ in stack.of_type(kind):
            yield f"{name}: rules belong to their security group"
    for name, properties in groups.items():
        if list(rules_of_group(properties, "Ingress")) != expected.get(name):
            yield f"{name}: the sources are not {expected.get(name)}"
        if properties.get("VpcId") != "${Vpc}":
            yield f"{name}: is not in the VPC"


@rule(remove("DatabaseSecurityGroup.SecurityGroupEgress"),
      put("WorkerSecurityGroup.SecurityGroupEgress.+", {"IpProtocol": "-1", "CidrIp": ANYWHERE}),
      put("WorkerSecurityGroup.SecurityGroupEgress.+", {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
                                                        "CidrIp": ANYWHERE}),
      remove("WorkerSecurityGroup.SecurityGroupEgress.1"),
      remove("WorkerSecurityGroup.SecurityGroupEgress.2.ToPort"),
      put("EndpointSecurityGroup.SecurityGroupEgress.0.CidrIp", ANYWHERE))
def workers_connect_only_to_endpoints_s3_and_the_database(stack):
    expected = {("tcp", 443, 443, cidr_of(stack, "Worker")), ("tcp", 5432, 5432, cidr_of(stack, "Database"))}
    if stack.of_type("AWS::EC2::NatGateway"):
        expected |= {("tcp", port, port, ANYWHERE) for port in (80, 443)}
    for name, properties in stack.of_type("AWS::EC2::SecurityGroup"):
        rules = set(rules_of_group(properties, "Egress"))
        if name == "WorkerSecurityGroup":
            s3 = {each for each in rules if str(each[-1]).startswith("pl-")}
            if rules - s3 != expected or {each[:3] for each in s3} != {("tcp", 443, 443)}:
                yield f"{name}: the destinations are not {sorted(expected)} and S3"
        elif rules != {("-1", None, None, LOOPBACK)}:
            # Without a rule, the group would get a rule that allows everything.
            yield f"{name}: opens connections"


@rule(remove("WorkerSecurityGroup.SecurityGroupEgress.0.Description"))
def rules_of_security_groups_have_a_description(stack):
    for name, properties in stack.of_type("AWS::EC2::SecurityGroup"):
        for direction in ("Ingress", "Egress"):
            if not all(each.get("Description") for each in properties.get(f"SecurityGroup{direction}", [])):
                yield f"{name}: a rule has no description"


def flows(stack, tier):
    """Returns the allowed flows of the NACL of a tier: `in` and `out`, each with ranges and ports."""
    found = defaultdict(set)
    for name, entry in stack.of_type("AWS::EC2::NetworkAclEntry"):
        if entry["NetworkAclId"] != f"${{{tier}Acl}}":
            continue
        if entry["RuleAction"] != "allow" or entry["Protocol"] != 6:
            raise ValueError(f"{name}: only rules that allow TCP are known")
        ports = entry["PortRange"]
        found["out" if entry.get("Egress") else "in"].add((entry["CidrBlock"], ports["From"], ports["To"]))
    return found


@rule(remove("WorkerAclOutDatabase"), remove("DatabaseAclOutReplies"), remove("WorkerAclInReplies"),
      remove("DatabaseAclOutReplies.Egress"), put("DatabaseAclInWorkers.CidrBlock", ANYWHERE),
      put("DatabaseAclInWorkers.PortRange.To", 65535), put("WorkerAclInEndpoints.CidrBlock", ANYWHERE),
      put("WorkerAclInReplies.PortRange.From", 1024), remove("WorkerAclInEndpoints.PortRange"),
      put("DatabaseAclInWorkers.Protocol", -1), put("DatabaseAclInWorkers.RuleAction", "deny"))
def acls_allow_exactly_the_connections_of_their_tier_and_the_replies(stack):
    workers, database = cidr_of(stack, "Worker"), cidr_of(stack, "Database")
    https, postgres = (443, 443), (5432, 5432)
    expected = {
        "Worker": {"in": {(workers, *https), (ANYWHERE, *EPHEMERAL)},
                   "out": {(ANYWHERE, *https), (database, *postgres), (workers, *EPHEMERAL)}},
        "Database": {"in": {(workers, *postgres)}, "out": {(workers, *EPHEMERAL)}},
    }
    if stack.of_type("AWS::EC2::NatGateway"):
        expected["Worker"]["out"].add((ANYWHERE, 80, 80))
        expected["Nat"] = {"in": {(workers, *https), (workers, 80, 80), (ANYWHERE, 1024, 65535)},
                           "out": {(ANYWHERE, *https), (ANYWHERE, 80, 80), (workers, *EPHEMERAL)}}
    for tier, connections in expected.items():
        found = flows(stack, tier)
        for direction, allowed in connections.items():
            if found[direction] != allowed:
                yield f"{tier}Acl: {direction}: {sorted(found[direction] ^ allowed)} differs from the expected flows"


@rule(remove("SqsEndpoint"), put("EcrDkrEndpoint.SubnetIds", ["${WorkerSubnetA}"]), remove("S3Endpoint.RouteTableIds.0"),
      remove("LogsEndpoint.PrivateDnsEnabled"), put("SqsEndpoint.SecurityGroupIds", ["${DatabaseSecurityGroup.GroupId}"]),
      remove("SqsEndpoint.VpcEndpointType"))
def workers_reach_aws_through_endpoints_in_each_zone(stack):
    endpoints = {service_of(properties): (name, properties) for name, properties in
                 stack.of_type("AWS::EC2::VPCEndpoint")}
    for service in sorted(NEEDED - set(endpoints)):
        yield f"the endpoint of {service} is missing"
    for service, (name, properties) in endpoints.items():
        expected = {
            "VpcEndpointType": "Interface",
            "SubnetIds": [f"${{WorkerSubnet{zone}}}" for zone in "ABC"],
            "SecurityGroupIds": ["${EndpointSecurityGroup.GroupId}"],
            "PrivateDnsEnabled": True,
        }
        if service == "s3":
            expected = {"VpcEndpointType": "Gateway",
                        "RouteTableIds": [f"${{WorkerRoutes{zone}}}" for zone in "ABC"]}
        for key, value in expected.items():
            if properties.get(key) != value:
                yield f"{name}: {key} is not {value}"


def own_only(statement, service):
    """Returns whether a statement serves only principals of this account, and its own resources where these have names."""
    equals = statement.get("Condition", {}).get("StringEquals", {})
    resources = listed(statement["Resource"])
    if service == "s3" and statement.get("Sid") == "ImageLayers":
        return statement["Action"] == "s3:GetObject" and resources == [
            f"arn:aws:s3:::prod-{REGION}-starport-layer-bucket/*"]
    if service == "s3" and equals.get("aws:ResourceAccount") != ACCOUNT:
        return False
    if service not in WITHOUT_RESOURCES and not all(
            ACCOUNT in each or "videoframes-" in each for each in resources):
        return False
    return equals.get("aws:PrincipalAccount") == ACCOUNT


@rule(remove("SqsEndpoint.PolicyDocument"), remove("SqsEndpoint.PolicyDocument.Statement.0.Condition"),
      put("SqsEndpoint.PolicyDocument.Statement.0.Resource", "*"),
      remove("S3Endpoint.PolicyDocument.Statement.0.Condition.StringEquals.aws:ResourceAccount"),
      put("S3Endpoint.PolicyDocument.Statement.1.Resource", "arn:aws:s3:::*"),
      put("EcrApiEndpoint.PolicyDocument.Statement.0.Action", "*"))
def endpoints_serve_only_this_account(stack):
    for name, properties in stack.of_type("AWS::EC2::VPCEndpoint"):
        service = service_of(properties)
        document = properties.get("PolicyDocument")
        if not document:
            yield f"{name}: without a policy, the endpoint serves every account"
            continue
        for statement in statements(document):
            if statement["Effect"] == "Allow" and not own_only(statement, service):
                yield f"{name}: a statement serves other accounts, or resources of other names"
            if "*" in listed(statement["Action"]):
                yield f"{name}: a statement allows every action"


@rule(put("S3Endpoint.PolicyDocument.Statement.0.Resource.0", "arn:aws:s3:::other"), remove("S3Endpoint.PolicyDocument"
      ".Statement.1"), put("SqsEndpoint.PolicyDocument.Statement.0.Effect", "Deny"),
      remove("LogsEndpoint.PolicyDocument.Statement.0.Action.2"))
def endpoints_serve_what_workers_need(stack):
    needed = {
        "s3": {"s3:*", "s3:GetObject"},
        "sqs": {"sqs:*"},
        "ecr.api": {"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchCheckLayerAvailability"},
        "logs": {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
        "secretsmanager": {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"},
    }
    needed["ecr.dkr"] = needed["ecr.api"]
    for name, properties in stack.of_type("AWS::EC2::VPCEndpoint"):
        allowed = [each for each in statements(properties["PolicyDocument"]) if each["Effect"] == "Allow"
                   and each["Principal"] == "*"]
        service = service_of(properties)
        missing = needed.get(service, set()) - {action for each in allowed for action in listed(each["Action"])}
        if missing or not allowed:
            yield f"{name}: the policy does not allow {sorted(missing)}"
        buckets = [resource for each in allowed for resource in listed(each["Resource"])]
        if service == "s3" and f"arn:aws:s3:::videoframes-{stack.environment}-*" not in buckets:
            yield f"{name}: the buckets of this deployment are not served"


@rule(remove("FlowLog"), put("FlowLog.TrafficType", "ACCEPT"), put("FlowLog.ResourceId", "${WorkerSubnetA}"),
      remove("FlowLog.LogGroupName"), remove("FlowLog.DeliverLogsPermissionArn"))
def rejected_connections_of_the_vpc_are_logged(stack):
    logs = [properties for _, properties in stack.of_type("AWS::EC2::FlowLog")]
    expected = {"ResourceType": "VPC", "ResourceId": "${Vpc}", "LogGroupName": "${FlowLogGroup}",
                "LogDestinationType": "cloud-watch-logs", "DeliverLogsPermissionArn": "${FlowLogRole.Arn}"}
    if not any(each.get("TrafficType") in ("REJECT", "ALL") and expected.items() <= each.items() for each in logs):
        yield "rejected connections are not logged"
