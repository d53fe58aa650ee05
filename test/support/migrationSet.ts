/** A set of 30 migrations of all kinds, and what a database looks like that has them. */
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** What counts how often each statement that writes has run: no key stops it from doing so twice. */
const count = (what: string) => `INSERT INTO run (what) VALUES ('${what}')`

const part = (n: number): ReadonlyArray<readonly [name: string, sql: string]> => [
  [
    `tables_${n}`,
    `CREATE SEQUENCE number_${n} AS bigint CACHE 1;
     CREATE TABLE owner_${n} (id bigint PRIMARY KEY DEFAULT nextval('number_${n}'), name text NOT NULL, email text);
     -- Its items; without a foreign key for now.
     CREATE TABLE item_${n} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner bigint, cents int DEFAULT 0);
     BEGIN;
     INSERT INTO owner_${n} (name, email) SELECT 'owner; ' || k, k || '@example.com' FROM generate_series(1, 40) AS k;
     INSERT INTO item_${n} (owner) SELECT id FROM owner_${n};
     ${count(`fill ${n}`)};
     COMMIT;`
  ],
  [
    `indexes_${n}`,
    `CREATE UNIQUE INDEX ASYNC owner_email_${n} ON owner_${n} (email);
     ALTER TABLE owner_${n} ADD CONSTRAINT email_key_${n} UNIQUE USING INDEX owner_email_${n};
     CREATE INDEX ASYNC IF NOT EXISTS item_owner_${n} ON item_${n} (owner) INCLUDE (cents);
     ${count(`index ${n}`)}`
  ],
  [
    `columns_${n}`,
    `ALTER TABLE owner_${n} ADD COLUMN label text;
     UPDATE owner_${n} SET label = coalesce(label, '') || name || ${n};
     ALTER TABLE owner_${n} ALTER COLUMN label SET DEFAULT '';
     ALTER TABLE owner_${n} ADD CONSTRAINT has_label_${n} CHECK (label IS NOT NULL) NOT VALID;
     ALTER TABLE ASYNC owner_${n} VALIDATE CONSTRAINT has_label_${n};`
  ],
  [
    `keys_${n}`,
    `ALTER TABLE item_${n} ADD CONSTRAINT of_owner_${n} FOREIGN KEY (owner) REFERENCES owner_${n} (id) NOT VALID;
     ALTER TABLE ASYNC item_${n} VALIDATE CONSTRAINT of_owner_${n};
     UPDATE item_${n} SET cents = cents + 7`
  ],
  [
    `views_${n}`,
    `CREATE VIEW account_${n} AS SELECT o.label, sum(i.cents) AS cents FROM owner_${n} o JOIN item_${n} i ON i.owner = o.id GROUP BY o.label;
     CREATE FUNCTION total_${n}() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(cents) FROM account_${n}; END;
     COMMENT ON VIEW account_${n} IS 'semicolons; everywhere';`
  ],
  [
    `cleaning_${n}`,
    `ALTER TABLE owner_${n} RENAME COLUMN name TO full_name;
     ALTER TABLE item_${n} RENAME TO article_${n};
     CREATE TABLE scratch_${n} (n int);
     INSERT INTO scratch_${n} VALUES (1);
     DROP TABLE scratch_${n};
     ${count(`clean ${n}`)}`
  ]
]

/** File names and texts. The function of BEGIN ATOMIC has no other trace than its name, so it is made to be repeatable. */
export const migrationSet: ReadonlyArray<readonly [file: string, text: string]> = [
  ["0001_runs.sql", "CREATE TABLE run (what text)"],
  ...Array.from({ length: 5 }, (_, n) => part(n + 1))
    .flat()
    .slice(0, 29)
    .map(
      ([name, text], index) =>
        [
          `${String(index + 2).padStart(4, "0")}_${name}.sql`,
          text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
        ] as const
    )
]

export const writeSet = (folder: string): string => {
  const migrations = join(folder, "migrations")
  mkdirSync(migrations, { recursive: true })
  for (const [file, text] of migrationSet) writeFileSync(join(migrations, file), text)
  return migrations
}

/** Everything that can be seen of a database: its schema and data, without what differs from run to run. */
export const fingerprint = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const columns = yield* sql`
    SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum`
  const indexes = yield* sql`
    SELECT pg_get_indexdef(indexrelid) AS definition, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1`
  const constraints = yield* sql`
    SELECT conname, contype, convalidated, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1`
  const runs = yield* sql`SELECT what, count(*)::int AS times FROM run GROUP BY what ORDER BY what`
  const [owners] = yield* sql`SELECT count(*)::int AS n, string_agg(label, ',' ORDER BY id) AS labels FROM owner_1`
  const articles = yield* sql`SELECT cents, count(*)::int AS n FROM article_1 GROUP BY cents`
  const [total] = yield* sql`SELECT total_1()::int AS total, total_4()::int AS fourth`
  const entries = yield* sql`
    SELECT migration_id, position, state, checksum FROM effect_sql_migrations_statements ORDER BY 1, 2`
  const history = yield* sql`SELECT migration_id, name FROM effect_sql_migrations ORDER BY 1`
  return { columns, indexes, constraints, runs, owners, articles, total, entries, history }
})
