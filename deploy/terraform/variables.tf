variable "overlay" {
  description = "Folder of the overlay, from where terraform is run; one's own may lie anywhere and name this repository's base."
  type        = string
}

variable "namespace" {
  description = "Namespace everything is put into."
  type        = string
  default     = "colloquy"

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace has lower-case letters, digits and hyphens, 63 at most."
  }
}

variable "image" {
  description = "Name and tag of the image; an upgrade or a rollback is another tag."
  type = object({
    name = string
    tag  = string
  })

  validation {
    condition     = var.image.tag != "" && var.image.tag != "latest"
    error_message = "Name a tag that always means the same image."
  }
}

variable "settings" {
  description = "Settings that differ from the overlay's, by their names. No secrets: they would stand in Terraform's state."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.settings) :
      !can(regex("(_API_KEY|^DATABASE_URL|^DATABASE_READ_URL)$", name))
    ])
    error_message = "Secrets come from files: set NAME_FILE, and let a Secret or Vault write the file."
  }
}

variable "wait" {
  description = "Whether to wait until the deployments are rolled out."
  type        = bool
  default     = true
}
