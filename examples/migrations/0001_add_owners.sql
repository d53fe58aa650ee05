-- Each statement runs by itself; DSQL allows no more than one that changes the schema in a transaction.
CREATE TABLE example_owner (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  email text
);

-- Built by a job, which is waited for.
CREATE UNIQUE INDEX ASYNC example_owner_email ON example_owner (email);
