"""Prepares InfluxDB 2.x through its own client: organization, bucket, mapping for InfluxQL, and a token for the centre alone.

Import it only to run: the client costs 30 MB and a third of a second.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import urllib3
from influxdb_client import (
    Authorization,
    BucketRetentionRules,
    DBRPCreate,
    DBRPsService,
    InfluxDBClient,
    Permission,
    PermissionResource,
)
from influxdb_client.rest import ApiException

from ingest.secret_file import read_secret, write_secret
from ingest.store.setup import ANSWER_S, Wish, check_retention, said
from ingest.store.tls import secured
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable

RETENTION_POLICY = "autogen"
"""What 2.x itself calls the policy of a bucket that nobody mapped."""


def prepared_v2(wish: Wish) -> Iterator[str]:
    """Prepares the server step by step; says each. Raises ``StoreUnavailable`` or ``ConfigInvalid``."""
    address = wish.address
    if not address.org or wish.token_file is None:
        cure = "write store: influx2:http://127.0.0.1:8086?org=wuye&bucket=linli, and store_token_file: influx-token"
        raise ConfigInvalid([Problem("configuration", "store", "InfluxDB 2 wants an organization and a token file", cure)])
    token = read_secret(address.token_file, "the administrator's token").strip() if address.token_file else address.token
    try:
        how = {"timeout": int(ANSWER_S * 1000), "ssl_context": secured(address.tls)}
        with InfluxDBClient(address.url, token, org=address.org, **how) as client:
            yield from _prepared(client, wish, wish.token_file)
    except ApiException as error:
        raise StoreUnavailable(f"{address}: {error.status} {error.message or error.reason}") from error
    except urllib3.exceptions.HTTPError as error:
        raise StoreUnavailable(f"{address}: {error}") from error


def _prepared(client: InfluxDBClient, wish: Wish, token_file: Path) -> Iterator[str]:
    name, db = wish.address.org, wish.address.db
    org, made = _organization(client, name)
    yield f"organization {name}: {_found(made)}"
    bucket, made = _bucket(client, org.id, db, wish)
    yield f"bucket {db}: {_found(made)}, kept {said(_retention(bucket))} 保留期"
    made = _mapping(client, org.id, bucket.id, db)
    yield f"mapping of database {db} for InfluxQL: {_found(made)}"
    if token_file.exists():
        yield f"token: {token_file} was there, it stays 已存在"
        return
    write_secret(token_file, f"{_token(client, org.id, bucket.id)}\n")
    yield f"token to read and write the bucket: {token_file} (mode 0600) 已写入"


def _organization(client: InfluxDBClient, name: str) -> tuple[Any, bool]:
    organizations = client.organizations_api()
    try:
        found = organizations.find_organizations(org=name)
    except ApiException as error:
        if error.status != 404:
            raise
        found = []
    return (found[0], False) if found else (organizations.create_organization(name=name), True)


def _bucket(client: InfluxDBClient, org_id: str, name: str, wish: Wish) -> tuple[Any, bool]:
    buckets = client.buckets_api()
    found = buckets.find_buckets(name=name, org_id=org_id).buckets
    if not found:
        if wish.retention is not None:
            check_retention(timedelta(0), wish, name)
        return buckets.create_bucket(bucket_name=name, org_id=None, org=org_id, retention_rules=_rules(wish.retention)), True
    if check_retention(_retention(found[0]), wish, f"bucket {name}"):
        found[0].retention_rules = _rules(wish.retention)
        return buckets.update_bucket(found[0]), False
    return found[0], False


def _mapping(client: InfluxDBClient, org_id: str, bucket_id: str, db: str) -> bool:
    """Whether it was made now. A bucket that nobody mapped has a mapping of its own since 2.4."""
    service = DBRPsService(client.api_client)
    found = service.get_dbr_ps(org_id=org_id, db=db).content or []
    if any(mapping.bucket_id == bucket_id and mapping.default for mapping in found):
        return False
    if any(mapping.default for mapping in found):
        cure = "remove that mapping, or name another bucket"
        raise ConfigInvalid([Problem("InfluxDB", f"database {db}", "is mapped to another bucket", cure)])
    wanted = DBRPCreate(org_id=org_id, bucket_id=bucket_id, database=db, retention_policy=RETENTION_POLICY, default=True)
    service.post_dbrp(wanted)
    return True


def _token(client: InfluxDBClient, org_id: str, bucket_id: str) -> str:
    resource = PermissionResource(type="buckets", id=bucket_id, org_id=org_id)
    permissions = [Permission(action=action, resource=resource) for action in ("read", "write")]
    wanted = Authorization(org_id=org_id, permissions=permissions, description="Linli's centre")
    return str(client.authorizations_api().create_authorization(authorization=wanted).token)


def _rules(retention: timedelta | None) -> list[BucketRetentionRules]:
    return [BucketRetentionRules(type="expire", every_seconds=int(retention.total_seconds()))] if retention else []


def _retention(bucket: Any) -> timedelta | None:
    seconds = max((rule.every_seconds for rule in bucket.retention_rules or ()), default=0)
    return timedelta(seconds=seconds) if seconds else None


def _found(made: bool) -> str:
    return "made 已创建" if made else "was there 已存在"
