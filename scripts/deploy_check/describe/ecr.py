"""Registries of images."""

from . import describes, upper


@describes("AWS::ECR::Repository")
def repository(client, physical_id, properties):
    ecr = client("ecr")
    name = physical_id.rpartition("repository/")[2]
    found = upper(ecr.describe_repositories(repositoryNames=[name])["repositories"][0])
    try:
        text = ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        found["LifecyclePolicy"] = {"LifecyclePolicyText": text}
    except ecr.exceptions.LifecyclePolicyNotFoundException:
        pass
    return found
