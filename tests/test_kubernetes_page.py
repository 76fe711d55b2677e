"""The manifests of docs/kubernetes.md are such as the schema of Kubernetes has them. They were run nowhere."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

PAGE = (Path(__file__).parents[1] / "docs/kubernetes.md").read_text()
MANIFESTS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_a_manifest_of_the_page_fits_the_schema(manifest):
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_a_key_that_kubernetes_does_not_know_is_noticed():
    broken = copy.deepcopy(MANIFESTS[0])
    broken["spec"]["hostNetworks"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)


def test_every_pod_has_the_lease_directory_of_its_host():
    pods = [one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"] for one in MANIFESTS]
    paths = [volume["hostPath"]["path"] for pod in pods for volume in pod["volumes"] if volume["name"] == "lease"]
    assert paths == ["/dev/shm/trainci"] * 2


def test_the_page_says_that_it_was_not_run():
    assert "This page was not run on a cluster." in PAGE
