"""HTML pages, plots and playlists made from the results of other folders."""
