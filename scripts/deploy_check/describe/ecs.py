"""Clusters, task definitions and services."""

from . import describes, upper



@describes("AWS::ECS::Cluster")
def cluster(client, physical_id, properties):
    found, = client("ecs").describe_clusters(clusters=[physical_id], include=["SETTINGS", "CONFIGURATIONS"])["clusters"]
    found = upper(found)
    found["ClusterSettings"] = found.get("Settings", [])
    return found


@describes("AWS::ECS::TaskDefinition")
def task_definition(client, physical_id, properties):
    answer = client("ecs").describe_task_definition(taskDefinition=physical_id)["taskDefinition"]
    found = upper(answer)
    for container, source in zip(found["ContainerDefinitions"], answer["containerDefinitions"]):
        # The names of options are not those of properties.
        container["LogConfiguration"]["Options"] = source["logConfiguration"]["options"]
    return found


@describes("AWS::ECS::Service")
def service(client, physical_id, properties):
    name = physical_id.rpartition("/")[2]
    found, = client("ecs").describe_services(cluster=properties["Cluster"], services=[name])["services"]
    found = upper(found)
    # The API has the ARN where the template refers to a name.
    if found.get("ClusterArn", "").endswith(f"/{properties['Cluster']}"):
        found["Cluster"] = properties["Cluster"]
    return found
