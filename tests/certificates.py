"""Certificates for the tests, signed by authorities of their own."""

import shutil
import subprocess
from pathlib import Path

import pytest


def openssl(folder: Path, *words: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def issue(folder: Path, name: str, common_name: str, authority: str = "ca", names: str = "") -> None:
    """A key and a certificate that an authority signed."""
    words = (
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        f"/CN={common_name}",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.csr",
    )
    openssl(folder, *words)
    (folder / "names").write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
    sign = (
        "-req",
        "-in",
        f"{name}.csr",
        "-CA",
        f"{authority}.pem",
        "-CAkey",
        f"{authority}.key",
        "-CAcreateserial",
        "-days",
        "2",
    )
    openssl(folder, "x509", *sign, "-extfile", "names", "-out", f"{name}.pem")


def authority(folder: Path, name: str) -> None:
    words = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    openssl(folder, *words, "-keyout", f"{name}.key", "-out", f"{name}.pem")
