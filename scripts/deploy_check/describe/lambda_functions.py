"""Functions."""

import io
import urllib.request
import zipfile

from . import describes


@describes("AWS::Lambda::Function")
def function(client, physical_id, properties):
    answer = client("lambda").get_function(FunctionName=physical_id)
    found = answer["Configuration"]
    with urllib.request.urlopen(answer["Code"]["Location"]) as code:
        archive = zipfile.ZipFile(io.BytesIO(code.read()))
    found["Code"] = {"ZipFile": archive.read("index.py").decode()}
    return found
