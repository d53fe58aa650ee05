import { catalogSchema } from "./catalogs.js"
import { conflictSchema } from "./conflicts/schema.js"
import { limitSchema } from "./limitSchema.js"
import { judgingSchema } from "./judging/schema.js"
import { jobSchema } from "./jobs/schema.js"

/**
 * What the service's database has beside PostgreSQL's catalogs. Every statement is free of empty lines, which would end it
 * in single-user mode. `_dsql` holds what clients need not see; its short names keep rewritten statements short.
 */

/** The SQLSTATE of notices that are meant for the gateway; see `ownStatements.ts`. */
export const gatewayNotice = "DSQL0"

/** Clients never see it, nor the texts in which PostgreSQL mentions it. */
export const hiddenSchema = "_dsql"

/**
 * Who may log in as which role. Published: the names of the columns and all texts but those marked. A role that is mapped
 * has a privilege on the view, so that it cannot be dropped: the service too answers DROP ROLE with 2BP01 until its
 * mappings are revoked.
 */
const mappings = [
  "CREATE SCHEMA sys",
  "CREATE SCHEMA _dsql",
  "GRANT USAGE ON SCHEMA sys, _dsql TO PUBLIC",
  "CREATE SEQUENCE _dsql.mapping_oid START 26398",
  `CREATE TABLE _dsql.mapping (
    oid oid DEFAULT nextval('_dsql.mapping_oid')::oid PRIMARY KEY,
    arn text NOT NULL, role oid NOT NULL, grantor oid NOT NULL, UNIQUE (role, arn))`,
  `CREATE VIEW sys.iam_pg_role_mappings AS
    SELECT m.oid AS iam_oid, m.arn, m.role AS pg_role_oid, r.rolname AS pg_role_name,
      m.grantor AS grantor_pg_role_oid, g.rolname AS grantor_pg_role_name
    FROM _dsql.mapping m JOIN pg_roles r ON r.oid = m.role JOIN pg_roles g ON g.oid = m.grantor`,
  "GRANT SELECT ON sys.iam_pg_role_mappings TO PUBLIC"
]

/** The oid of a role that `admin` may map, or a refusal. */
const checkedRole = `CREATE FUNCTION _dsql.role(role_name text) RETURNS oid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE role_oid oid := (SELECT r.oid FROM pg_roles r WHERE r.rolname = role_name::name);
BEGIN
  IF session_user <> 'admin' THEN
    RAISE 'permission denied to grant IAM trust with role %', role_name USING ERRCODE = '42501';
  END IF;
  IF role_oid IS NULL OR role_name = current_user THEN
    -- The code is inferred.
    RAISE 'Role % does not exist', role_name USING ERRCODE = '42704';
  END IF;
  IF role_name = 'admin' OR role_name LIKE 'pg\\_%' THEN
    -- Inferred: the guide lists the text without saying when it comes.
    RAISE 'Cannot establish trust with role %', role_name USING ERRCODE = '0A000';
  END IF;
  -- One at a time: two changes of the privileges of one view are an error in PostgreSQL.
  LOCK TABLE _dsql.mapping IN SHARE ROW EXCLUSIVE MODE;
  RETURN role_oid;
END $$`

const grant = `CREATE PROCEDURE _dsql.g(role_name text, iam_arn text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE role_oid oid := _dsql.role(role_name);
BEGIN
  IF iam_arn !~ '^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[[:graph:]]+$' THEN
    -- The code is inferred.
    RAISE 'IAM role must look like an IAM ARN' USING ERRCODE = '22023';
  END IF;
  INSERT INTO _dsql.mapping (arn, role, grantor) VALUES (iam_arn, role_oid, 'admin'::regrole)
    ON CONFLICT (role, arn) DO NOTHING;
  IF NOT FOUND THEN
    -- That it fails is reported by users of the service, code and text are inferred.
    RAISE 'Role % is already granted to IAM role %', role_name, iam_arn USING ERRCODE = '42710';
  END IF;
  EXECUTE format('GRANT SELECT ON sys.iam_pg_role_mappings TO %I', role_name);
  RAISE INFO 'AWS IAM GRANT' USING ERRCODE = '${gatewayNotice}';
END $$`

const revoke = `CREATE PROCEDURE _dsql.r(role_name text, iam_arn text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE role_oid oid := _dsql.role(role_name);
BEGIN
  DELETE FROM _dsql.mapping m WHERE m.role = role_oid AND m.arn = iam_arn;
  IF NOT FOUND THEN
    -- That it fails is reported by users of the service; that it fails with this text, and the code, are inferred.
    RAISE 'IAM role % does not exist', iam_arn USING ERRCODE = '42704';
  END IF;
  IF NOT EXISTS (SELECT FROM _dsql.mapping m WHERE m.role = role_oid) THEN
    EXECUTE format('REVOKE SELECT ON sys.iam_pg_role_mappings FROM %I', role_name);
  END IF;
  RAISE INFO 'AWS IAM REVOKE' USING ERRCODE = '${gatewayNotice}';
END $$`

export const systemSchema: ReadonlyArray<string> = [
  ...mappings,
  checkedRole,
  grant,
  revoke,
  ...conflictSchema,
  ...judgingSchema,
  ...jobSchema,
  ...catalogSchema,
  ...limitSchema
]

/** Makes the database of the clients as template1 is. Copying files is the quicker strategy, as nothing is made durable. */
export const createDatabase = "CREATE DATABASE postgres OWNER admin STRATEGY file_copy"
