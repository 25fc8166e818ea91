# One agent on each client of Nomad that has Docker:
#
#   nomad job run -var 'routes=syslog+tls://logs.example.com:6514' deploy/nomad.hcl
#
# The client's docker plugin has to allow mounts of the host:
#
#   plugin "docker" { config { volumes { enabled = true } } }

variable "routes" {
  type        = string
  description = "Where lines go; several with commas between."
}

variable "image" {
  type    = string
  default = "ghcr.io/downspout/downspout:latest"
}

job "downspout" {
  type = "system"
  # Before what it ships.
  priority = 80

  constraint {
    attribute = "${attr.driver.docker}"
    value     = "1"
  }

  group "downspout" {
    network {
      port "http" {
        static = 9514
        to     = 9514
      }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    service {
      name     = "downspout"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/livez"
        interval = "30s"
        timeout  = "5s"
      }
    }

    task "downspout" {
      driver       = "docker"
      user         = "0:0"
      kill_timeout = "15s"

      config {
        image           = "${var.image}"
        ports           = ["http"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges:true"]
        pids_limit      = 64

        # Also Nomad's own logs come from Docker's files: it must not replace the driver.
        logging {
          type = "json-file"
          config {
            max-size = "10m"
            max-file = "3"
          }
        }

        mount {
          type     = "bind"
          source   = "/var/run/docker.sock"
          target   = "/var/run/docker.sock"
          readonly = true
        }

        mount {
          type     = "bind"
          source   = "/var/lib/docker/containers"
          target   = "/var/lib/docker/containers"
          readonly = true
        }

        # Not Nomad's own folder of the allocation: positions outlive it.
        mount {
          type   = "volume"
          source = "downspout"
          target = "/var/lib/downspout"
        }
      }

      env {
        DOWNSPOUT_ROUTES       = "${var.routes}"
        DOWNSPOUT_HOSTNAME     = "${node.unique.name}"
        DOWNSPOUT_MEMORY_LIMIT = "64MiB"
      }

      resources {
        cpu        = 100
        memory     = 64
        memory_max = 128
      }
    }
  }
}
