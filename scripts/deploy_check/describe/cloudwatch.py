"""Alarms."""

from . import describes


@describes("AWS::CloudWatch::Alarm")
def alarm(client, physical_id, properties):
    found, = client("cloudwatch").describe_alarms(AlarmNames=[physical_id])["MetricAlarms"]
    return found
