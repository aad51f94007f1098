"""OpenVINO: the folder, int8 by NNCF, running it on the CPU."""
