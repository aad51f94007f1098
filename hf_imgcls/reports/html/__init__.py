"""Pages for people that need no network: elements, charts as SVG, small images as data URIs."""
