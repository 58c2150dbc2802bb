"""Queues and their policies."""

from . import describes, document


@describes("AWS::SQS::Queue")
def queue(client, physical_id, properties):
    found = client("sqs").get_queue_attributes(QueueUrl=physical_id, AttributeNames=["All"])["Attributes"]
    for key in ("RedrivePolicy", "RedriveAllowPolicy"):
        if key in found:
            found[key] = document(found[key])
    return found | {"QueueName": found["QueueArn"].rpartition(":")[2]}


@describes("AWS::SQS::QueuePolicy")
def queue_policy(client, physical_id, properties):
    found = {queue: client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])
             for queue in properties["Queues"]}
    policies = [document(each["Attributes"]["Policy"]) for each in found.values()]
    return {"Queues": list(found), "PolicyDocument": policies[0]}
