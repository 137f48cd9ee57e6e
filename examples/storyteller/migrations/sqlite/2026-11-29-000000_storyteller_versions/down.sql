ALTER TABLE storytellers DROP COLUMN version;
