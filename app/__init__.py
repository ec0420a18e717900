"""Where it runs: settings, lanes, pipeline, gateway, sinks, local environment, command line."""
