"""Where a Model looked, and how far an expert agrees: in single tiles (`attend`) and on whole slides (`agree`)."""
