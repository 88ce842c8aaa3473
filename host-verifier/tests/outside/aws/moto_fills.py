"""Makes what the tests ask moto about: URL and authority as arguments, what was made as JSON on standard output."""

import json
import sys

import boto3

URL, CA = sys.argv[1:]
OTHER = "222222222222"


def client(service, keys):
    return boto3.client(service, endpoint_url=URL, verify=CA, region_name="eu-west-1", **keys)


OWN_KEYS = {"aws_access_key_id": "AKIDEXAMPLE00000000", "aws_secret_access_key": "s"}
session = client("sts", OWN_KEYS).assume_role(
    RoleArn=f"arn:aws:iam::{OTHER}:role/Setup", RoleSessionName="setup"
)["Credentials"]
KEYS = {
    "aws_access_key_id": session["AccessKeyId"],
    "aws_secret_access_key": session["SecretAccessKey"],
    "aws_session_token": session["SessionToken"],
}
ec2, iam, eks = (client(service, KEYS) for service in ("ec2", "iam", "eks"))
made = {}

iam.create_role(RoleName="web", Path="/service/", AssumeRolePolicyDocument="{}")
iam.create_instance_profile(InstanceProfileName="web", Path="/a/")
iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")

made["vpc"] = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
made["subnet"] = ec2.create_subnet(VpcId=made["vpc"], CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
made["group"] = ec2.create_security_group(
    GroupName="sg-spire-nodes", Description="nodes", VpcId=made["vpc"]
)["GroupId"]
made["image"] = ec2.describe_images()["Images"][0]["ImageId"]


def run(count):
    instances = ec2.run_instances(
        ImageId=made["image"],
        MinCount=count,
        MaxCount=count,
        InstanceType="m5.large",
        SubnetId=made["subnet"],
        SecurityGroupIds=[made["group"]],
        IamInstanceProfile={"Name": "web"},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "Environment", "Value": "production"},
                    {"Key": "Odd", "Value": 'a & <b> "\u00e9" '},
                ],
            }
        ],
    )["Instances"]
    return [instance["InstanceId"] for instance in instances]


made["instance"], made["stopped"] = run(2)
ec2.stop_instances(InstanceIds=[made["stopped"]])

organizations = client("organizations", OWN_KEYS)
organizations.create_organization(FeatureSet="ALL")
accounts = [
    organizations.create_account(AccountName=f"a{n}", Email=f"a{n}@example.org")[
        "CreateAccountStatus"
    ]["AccountId"]
    for n in range(26)
]
made["member"], made["closed"] = accounts[-1], accounts[0]
organizations.close_account(AccountId=made["closed"])

role = f"arn:aws:iam::{OTHER}:role/eks"
eks.create_cluster(name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": [made["subnet"]]})
for n in range(2):
    group = eks.create_nodegroup(
        clusterName="prod",
        nodegroupName=f"ng-{n}",
        nodeRole=role,
        subnets=[made["subnet"]],
        scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1},
    )["nodegroup"]
    if n == 0:
        made["groups"] = []
    made["groups"] += [g["name"] for g in group["resources"]["autoScalingGroups"]]

autoscaling = client("autoscaling", KEYS)
ec2.create_launch_template(
    LaunchTemplateName="node", LaunchTemplateData={"ImageId": made["image"], "InstanceType": "m5.large"}
)
for name in made["groups"]:
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": "node"},
        MinSize=1,
        MaxSize=1,
        DesiredCapacity=1,
        VPCZoneIdentifier=made["subnet"],
    )
made["nodes"] = [
    instance["InstanceId"]
    for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    for instance in group["Instances"]
]
json.dump(made, sys.stdout)
