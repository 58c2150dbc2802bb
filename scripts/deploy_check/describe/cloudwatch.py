"""Alarms."""

from . import describes


@describes("AWS::CloudWatch::Alarm")
def alarm(client, physical_id, properties):
    found, = client("cloudwatch").describe_alarms(AlarmNames=[physical_id])["MetricAlarms"]
    return found


@describes("AWS::CloudWatch::Dashboard")
def dashboard(client, physical_id, properties):
    return client("cloudwatch").get_dashboard(DashboardName=physical_id)
