CREATE TABLE example_city (name text PRIMARY KEY);

-- These change rows, and run together.
BEGIN;
INSERT INTO example_city VALUES ('Lisbon'), ('Porto');
INSERT INTO example_owner (name, email) VALUES ('Ana', 'ana@example.com');
COMMIT;

-- What ALTER TABLE ADD COLUMN cannot do on DSQL: the column alone, then its values, then its default and its constraint.
ALTER TABLE example_owner ADD COLUMN city text;
UPDATE example_owner SET city = 'Lisbon' WHERE city IS NULL;
ALTER TABLE example_owner ALTER COLUMN city SET DEFAULT 'Lisbon';
ALTER TABLE example_owner ADD CONSTRAINT example_owner_city CHECK (city IS NOT NULL) NOT VALID;
ALTER TABLE ASYNC example_owner VALIDATE CONSTRAINT example_owner_city;
