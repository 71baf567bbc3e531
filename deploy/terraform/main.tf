# Applies an overlay of deploy/kubernetes to a cluster. The caller configures the provider, for example:
#
#   provider "kustomization" {
#     kubeconfig_path = pathexpand("~/.kube/config")
#     context         = "staging"
#   }
#
#   module "colloquy" {
#     source  = "./deploy/terraform"
#     overlay = "deploy/kubernetes/overlays/production"
#     image   = { name = "images.example.com/colloquy", tag = "0.1.0" }
#   }
#
# The secrets are not made here: what Terraform makes, its state holds in clear.

data "kustomization_overlay" "colloquy" {
  namespace = var.namespace
  resources = [var.overlay]

  images {
    name     = "images.example.com/colloquy"
    new_name = var.image.name
    new_tag  = var.image.tag
  }

  config_map_generator {
    name     = "colloquy"
    behavior = "merge"
    literals = [for name, value in var.settings : "${name}=${value}"]
  }
}

# In the provider's three steps: namespaces first, webhooks last.
resource "kustomization_resource" "first" {
  for_each = data.kustomization_overlay.colloquy.ids_prio[0]
  manifest = data.kustomization_overlay.colloquy.manifests[each.value]
}

resource "kustomization_resource" "main" {
  for_each   = data.kustomization_overlay.colloquy.ids_prio[1]
  manifest   = data.kustomization_overlay.colloquy.manifests[each.value]
  wait       = var.wait
  depends_on = [kustomization_resource.first]

  timeouts {
    create = "10m"
    update = "10m"
  }
}

resource "kustomization_resource" "last" {
  for_each   = data.kustomization_overlay.colloquy.ids_prio[2]
  manifest   = data.kustomization_overlay.colloquy.manifests[each.value]
  depends_on = [kustomization_resource.main]
}
