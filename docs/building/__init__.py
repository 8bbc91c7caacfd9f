"""What builds the site beside Sphinx: pages that the code writes, tutorials that are run, the check of links."""
