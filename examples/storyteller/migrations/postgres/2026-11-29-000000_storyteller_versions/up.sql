-- Counts the saves of a storyteller, so that one which did not see the last of them is told.
ALTER TABLE storytellers ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
