terraform {
  required_version = ">= 1.5"

  required_providers {
    # Builds the overlay itself and applies what comes out: the manifests stay the only description of the service.
    kustomization = {
      source  = "kbst/kustomization"
      version = ">= 0.9.5, < 1.0.0"
    }
  }
}
