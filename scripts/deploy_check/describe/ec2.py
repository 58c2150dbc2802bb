"""VPC, subnets, routes, security groups and endpoints."""

from . import describes, document


def one(answer):
    """Returns the only element of the only list of an answer."""
    items = [value for key, value in answer.items() if isinstance(value, list)]
    (item,), = items
    return item


@describes("AWS::EC2::VPC")
def vpc(client, physical_id, properties):
    ec2 = client("ec2")
    found = one(ec2.describe_vpcs(VpcIds=[physical_id]))
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        attribute = name[0].lower() + name[1:]
        found[name] = ec2.describe_vpc_attribute(VpcId=physical_id, Attribute=attribute)[name]["Value"]
    return found


@describes("AWS::EC2::Subnet")
def subnet(client, physical_id, properties):
    return one(client("ec2").describe_subnets(SubnetIds=[physical_id]))


@describes("AWS::EC2::RouteTable")
def route_table(client, physical_id, properties):
    return one(client("ec2").describe_route_tables(RouteTableIds=[physical_id]))


@describes("AWS::EC2::SubnetRouteTableAssociation")
def association(client, physical_id, properties):
    tables = client("ec2").describe_route_tables(RouteTableIds=[properties["RouteTableId"]])
    return next(each for each in one(tables)["Associations"] if each["RouteTableAssociationId"] == physical_id)


def rules(permissions, group_key, list_key):
    """Returns the rules of a security group as those of a template."""
    for permission in permissions:
        ports = {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}
        for each in permission.get("IpRanges", []):
            yield ports | each
        for each in permission.get("UserIdGroupPairs", []):
            yield ports | {group_key: each["GroupId"]} | {key: each[key] for key in ("Description",) if key in each}
        for each in permission.get("PrefixListIds", []):
            yield ports | {list_key: each["PrefixListId"]} | {key: each[key] for key in ("Description",) if key in each}


@describes("AWS::EC2::SecurityGroup")
def security_group(client, physical_id, properties):
    found = one(client("ec2").describe_security_groups(GroupIds=[physical_id]))
    return {
        "GroupDescription": found["Description"],
        "VpcId": found["VpcId"],
        "Tags": found.get("Tags"),
        "SecurityGroupIngress": list(rules(found["IpPermissions"], "SourceSecurityGroupId", "SourcePrefixListId")),
        "SecurityGroupEgress": list(rules(found["IpPermissionsEgress"], "DestinationSecurityGroupId",
                                          "DestinationPrefixListId")),
    }


@describes("AWS::EC2::VPCEndpoint")
def endpoint(client, physical_id, properties):
    found = one(client("ec2").describe_vpc_endpoints(VpcEndpointIds=[physical_id]))
    found["SecurityGroupIds"] = [each["GroupId"] for each in found.get("Groups", [])]
    found["PolicyDocument"] = document(found.get("PolicyDocument"))
    return found
