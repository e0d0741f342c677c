"""Makes the calls that it is given with alibabacloud_vod20170321, and says how each ended.

Standard input and output are those of every program in this folder; tests/it/aliyun/sdk.rs has them.
"""

import json
import sys

from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from alibabacloud_vod20170321 import models
from alibabacloud_vod20170321.client import Client
from darabonba.runtime import RuntimeOptions

METHODS = {
    "SetVodDomainSSLCertificate": Client.set_vod_domain_sslcertificate_with_options,
    "DescribeVodDomainCertificateInfo": Client.describe_vod_domain_certificate_info_with_options,
}


def client_of(caller):
    return Client(
        Config(
            access_key_id=caller["key_id"],
            access_key_secret=caller["secret"],
            security_token=caller["token"],
            endpoint=caller["endpoint"],
            protocol="http",
            # The SDK's name for what signs by version 1.0; its default is version 3.
            signature_algorithm="v2" if caller["signature"] == "v1" else None,
        )
    )


def answer(client, call, in_form):
    """By the SDK's own method for an action of VOD, which has all parameters in the URL; for other services, and where
    they are to be in a form, by the one for any action."""
    action, parameters = call["action"], call["parameters"]
    if action in METHODS and not in_form:
        request = getattr(models, f"{action}Request")().from_map(parameters)
        return METHODS[action](client, request, RuntimeOptions()).body.to_map()
    params = Params(
        action=action,
        version=call["version"],
        protocol="HTTP",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    request = OpenApiRequest(body=parameters) if in_form else OpenApiRequest(query=parameters)
    return client.call_api(params, request, RuntimeOptions())["body"]


def outcome(client, call, in_form):
    try:
        return {"code": "OK", "answer": answer(client, call, in_form)}
    except AlibabaCloudException as refusal:
        return {"code": refusal.code, "answer": None}


def main():
    outcomes = []
    for caller in json.load(sys.stdin):
        client, in_form = client_of(caller), caller["method"] == "FORM"
        outcomes.append([outcome(client, call, in_form) for call in caller["calls"]])
    json.dump(outcomes, sys.stdout)


main()
