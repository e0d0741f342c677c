"""Makes the calls that it is given with aliyun-python-sdk-core and -vod, and says how each ended.

Standard input and output are those of every program in this folder; tests/it/aliyun/sdk.rs has them.
"""

import json
import sys
from importlib import import_module

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

VOD = "2017-03-21"


def client_of(caller):
    key = (caller["key_id"], caller["secret"])
    token = caller["token"]
    credential = StsTokenCredential(*key, token) if token else AccessKeyCredential(*key)
    return AcsClient(region_id="cn-shanghai", credential=credential)


def request_of(caller, call):
    """A request of the SDK's own class for VOD; for other services, of the one for any action."""
    action, version = call["action"], call["version"]
    if version == VOD:
        module = import_module(f"aliyunsdkvod.request.v20170321.{action}Request")
        request = getattr(module, f"{action}Request")()
        for name, value in call["parameters"].items():
            getattr(request, f"set_{name}")(value)
    else:
        request = CommonRequest(domain=caller["endpoint"], version=version, action_name=action)
        for name, value in call["parameters"].items():
            request.add_query_param(name, value)
    request.set_endpoint(caller["endpoint"])
    request.set_protocol_type("http")
    request.set_method(caller["method"])
    request.set_accept_format("JSON")
    return request


def outcome(client, request):
    try:
        return {"code": "OK", "answer": json.loads(client.do_action_with_exception(request))}
    except ServerException as refusal:
        code = refusal.get_error_code()
        # The SDK's own word for it, where what the gateway says that it signed is what the SDK signed.
        if code == "InvalidAccessKeySecret":
            code = "SignatureDoesNotMatch"
        return {"code": code, "answer": None}


def main():
    outcomes = []
    for caller in json.load(sys.stdin):
        client = client_of(caller)
        outcomes.append([outcome(client, request_of(caller, call)) for call in caller["calls"]])
    json.dump(outcomes, sys.stdout)


main()
